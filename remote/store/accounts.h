/* accounts.h -- users, their sessions, API tokens, and the audit log. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/limits.h"
#include "lib/secure/hash.h"
#include "lib/secure/token.h"

struct db;

/* enum, word; each may do what those before it may */
#define ROLES(X)                                                                                   \
    X(ROLE_VIEWER, "viewer")                                                                       \
    X(ROLE_OPERATOR, "operator")                                                                   \
    X(ROLE_ADMIN, "admin")

enum role {
#define X(name, word) name,
    ROLES(X)
#undef X
};

const char *role_name(enum role role);
int role_parse(const char *word, enum role *ret_role); /* ERR_INVALID */

enum { USER_NAME = 65, PASSWORD_HASH = 200 };

/* 1 to 64 letters, digits, and . _ - @, the first a letter or digit. */
bool user_name_valid(const char *name);

struct user_row {
    char name[USER_NAME];
    enum role role;
    char password[PASSWORD_HASH]; /* as password_hash() made it */
    int64_t created_ms;
};
struct user_list {
    struct user_row *rows;
    size_t count;
};
void user_list_clear(struct user_list *l); /* wipes */

int users_list(struct db *db, struct user_list *ret_list);
int users_get(struct db *db, const char *name, struct user_row *ret_row); /* ERR_NOT_FOUND */
/* ERR_EXISTS, ERR_TOO_BIG (LIMIT_USERS), ERR_INVALID (the name). */
int users_add(struct db *db, const struct user_row *row);
/* Ends its sessions.  ERR_NOT_FOUND. */
int users_set_password(struct db *db, const char *name, const char *password_hash);
/* ERR_NOT_FOUND, ERR_INVALID: no admin would be left. */
int users_set_role(struct db *db, const char *name, enum role role);
/* With its sessions and tokens.  ERR_NOT_FOUND, ERR_INVALID: the last admin. */
int users_remove(struct db *db, const char *name);

/* A session is found by the SHA-256 of the secret in its cookie. */
struct session_row {
    uint8_t secret_sha256[SHA256_BYTES];
    char user[USER_NAME];
    enum role role; /* the user's, now: filled in by sessions_get() */
    int64_t created_ms;
    int64_t expires_ms;
};
/* Drops those that are over, and of more than LIMIT_SESSIONS_PER_USER the oldest.  ERR_NOT_FOUND: the user. */
int sessions_add(struct db *db, const struct session_row *row);
/* ERR_NOT_FOUND, ERR_EXPIRED. */
int sessions_get(struct db *db, const uint8_t secret_sha256[static SHA256_BYTES], int64_t now_ms,
                 struct session_row *ret_row);
/* When there is none: 0. */
int sessions_remove(struct db *db, const uint8_t secret_sha256[static SHA256_BYTES]);

struct api_token_row {
    char id[TOKEN_ID];
    char name[LIMIT_NAME + 1]; /* what it is for */
    char owner[USER_NAME];     /* who made it; "" from the command line */
    enum role role;
    uint8_t secret_sha256[SHA256_BYTES];
    int64_t created_ms;
    int64_t expires_ms; /* 0: never */
    int64_t used_ms;    /* 0: never; kept to the minute */
};
struct api_token_list {
    struct api_token_row *rows;
    size_t count;
};
void api_token_list_clear(struct api_token_list *l);
int api_tokens_list(struct db *db, struct api_token_list *ret_list);
/* ERR_EXISTS, ERR_TOO_BIG (LIMIT_TOKENS). */
int api_tokens_add(struct db *db, const struct api_token_row *row);
/* ERR_NOT_FOUND. */
int api_tokens_get(struct db *db, const char *id, struct api_token_row *ret_row);
/* Within a minute of the last time nothing is written; an unknown one: 0. */
int api_tokens_used(struct db *db, const char *id, int64_t now_ms);
int api_tokens_remove(struct db *db, const char *id); /* ERR_NOT_FOUND */

/* The audit log: only ever added to (a trigger refuses changes); retention removes what is old. */
struct audit_row {
    int64_t id; /* filled in */
    int64_t at_ms;
    char who[2 * LIMIT_NAME]; /* "user ann", "token 0123… (ci)", "host NAME", "command line" */
    char address[64];         /* "" when there is none */
    char what[64];            /* "login", "login.refused", "capture.start", "host.revoke", … */
    char text[1024];          /* of what; no secrets */
};
struct audit_list {
    struct audit_row *rows;
    size_t count;
};
void audit_list_clear(struct audit_list *l);
int audit_add(struct db *db, const struct audit_row *row);
/* Newest first; `before` 0: from the newest on; `limit` 0: LIMIT_PAGE_ROWS. */
int audit_list_read(struct db *db, int64_t before, size_t limit, struct audit_list *ret_list);
