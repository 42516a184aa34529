/* hosts.h -- hosts that were enrolled, and the secrets that enrol one. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/limits.h"
#include "lib/base/uuid.h"
#include "lib/secure/hash.h"

struct db;

struct host_row {
    char id[UUID_TEXT];           /* the common name of its certificates */
    char name[LIMIT_NAME + 1];    /* its hostname, as it says */
    char release[LIMIT_NAME + 1]; /* of proctor there; "" until it was connected */
    int64_t enrolled_ms;
    int64_t seen_ms;    /* when it was last connected; 0: never */
    int64_t revoked_ms; /* 0: it is not */
    int64_t cert_not_after_ms;
};

struct host_list {
    struct host_row *rows;
    size_t count;
};
void host_list_clear(struct host_list *l);

int hosts_list(struct db *db, struct host_list *ret_list);              /* by name */
int hosts_get(struct db *db, const char *id, struct host_row *ret_row); /* ERR_NOT_FOUND */
/* ERR_TOO_BIG past LIMIT_HOSTS (those that are revoked do not count), ERR_EXISTS, ERR_INVALID (the id is no UUID). */
int hosts_add(struct db *db, const struct host_row *row);
/* ERR_NOT_FOUND, like the next ones. */
int hosts_seen(struct db *db, const char *id, const char *name, const char *release,
               int64_t now_ms);
int hosts_set_cert(struct db *db, const char *id, int64_t not_after_ms);
/* Twice is fine: the first time stays. */
int hosts_revoke(struct db *db, const char *id, int64_t now_ms);

/* Enrolment secrets are kept as SHA-256, until 30 days after their end.  Add: ERR_EXISTS, ERR_TOO_BIG (past LIMIT_HOSTS of them).
 * Use: 0 once; ERR_NOT_FOUND (unknown), ERR_EXISTS (used), ERR_EXPIRED. */
int enrolments_add(struct db *db, const uint8_t secret_sha256[static SHA256_BYTES],
                   int64_t expires_ms, int64_t now_ms);
int enrolments_use(struct db *db, const uint8_t secret_sha256[static SHA256_BYTES], int64_t now_ms);
