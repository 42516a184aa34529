/* authority.h -- the console's own CA and its server certificate, in DATA/tls/ (0700, files 0600).
 *
 * Made at the first start; the server's certificate is made anew when its names change or a third of its life is left. */
#pragma once

#include <stdint.h>

#include "lib/secure/hash.h"
#include "remote/store/hosts.h"

struct authority {
    char *ca_cert_pem;
    char *ca_key_pem;
    char *server_cert_pem;
    char *server_key_pem;
    uint8_t ca_sha256[SHA256_BYTES];
    int64_t agent_life_s;  /* of agents' certificates: 90 days; tests use seconds */
    int64_t server_life_s; /* of the next server's certificate: 397 days */
};

/* `names`: of the server's certificate, besides localhost, 127.0.0.1 and ::1; NULL-terminated.  Errors are logged. */
int authority_open(struct authority *a, const char *data_dir, const char *const *names);

/* The same with another life of the server's certificate, for tests. */
int authority_open_for(struct authority *a, const char *data_dir, const char *const *names,
                       int64_t server_life_s);

/* While it is open, now and then: makes the server's certificate anew when it is no good any more, as authority_open() would.  Returns 1
 * (there is another one, with another key), 0 (it is good), or an error, logged: then the old one stays.  Writes three small files. */
int authority_renew(struct authority *a, const char *data_dir, const char *const *names);
void authority_close(struct authority *a); /* wipes the keys */

/* Only the CA's fingerprint, for commands beside a server.  ERR_NOT_FOUND: the console was never started here. */
int authority_fingerprint(const char *data_dir, uint8_t ret_sha256[static SHA256_BYTES]);

/* A certificate for a host; `*ret_not_after_s` as in it.  ERR_INVALID for a bad request. */
int authority_issue(const struct authority *a, const char *host_id, const char *csr_pem,
                    char **ret_cert_pem, int64_t *ret_not_after_s);
