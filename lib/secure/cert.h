/* cert.h -- EC P-256 keys, requests, and certificates of one small authority.
 *
 * Everything is PEM text: owned by whoever receives it (free() after secret_wipe() for keys).
 * All texts from outside are checked and bounded.  Errors: ERR_SYNTAX (not what it should be),
 * ERR_INVALID (sound, but not allowed), ERR_FAILED.
 *
 * A PEM text is exactly one object, unencrypted, of at most CERT_PEM_MAX bytes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/secure/hash.h"

enum { CERT_PEM_MAX = 16384, CERT_SERIAL_TEXT = 41 };

/* A new private key. */
int key_make(char **ret_key_pem);

/* A request for `common_name` signed with the key.  The name in it counts for nothing (see
 * cert_issue). */
int csr_make(const char *key_pem, const char *common_name, char **ret_csr_pem);

struct cert_plan {
    const char *common_name;

    /* For a server: names and addresses ("127.0.0.1", "::1"), NULL-terminated; NULL: none. */
    const char *const *dns_names;

    /* Seconds since the epoch: valid from the first until just before the second. */
    int64_t not_before_s;
    int64_t not_after_s;

    /* For cert_make_ca() alone. */
    bool ca;

    /* Extended key usage serverAuth, else clientAuth (a CA has neither). */
    bool server;
};

/* A certificate that signs itself: the authority.  ERR_INVALID: a plan that makes no sense
 * (times, no `ca`, a name that is empty or over 64 characters), or a key that is not EC P-256. */
int cert_make_ca(const char *key_pem, const struct cert_plan *plan, char **ret_cert_pem);

/* Signs what the request's key proves to own; all names come from the plan.  ERR_INVALID for a
 * request that is not signed by its own key or whose key is not EC P-256, for a plan that makes
 * no sense (also: a common name that is the authority's, a host name that is none), and when the
 * CA's certificate and key do not belong together. */
int cert_issue(const char *ca_cert_pem, const char *ca_key_pem, const char *csr_pem,
               const struct cert_plan *plan, char **ret_cert_pem);

/* What a certificate says.  ERR_INVALID when its name or number is none that we would make (two
 * common names, one over 64 bytes, control characters, a serial over 20 bytes). */
struct cert_facts {
    char common_name[65];
    char serial[CERT_SERIAL_TEXT]; /* hex */
    int64_t not_before_s;
    int64_t not_after_s;
    uint8_t sha256[SHA256_BYTES]; /* of the DER: the fingerprint */
};
int cert_read(const char *cert_pem, struct cert_facts *ret_facts);

/* Was `cert_pem` issued by `ca_pem`, for `server` or client use, and is it valid at `at_s`?  0,
 * or with a sentence in `reterr_text`: ERR_EXPIRED, ERR_INVALID, ERR_SYNTAX. */
int cert_check(const char *cert_pem, const char *ca_pem, bool server, int64_t at_s,
               char *reterr_text, size_t size);

/* Does the key belong to the certificate?  0 or ERR_INVALID. */
int cert_check_key(const char *cert_pem, const char *key_pem);
