/* identity.h -- who this host is for its console: key, certificate, the console's CA, and where it is.
 *
 *     $PROCTOR_HOME/agent/ (0700, files 0600)
 *       link.json       {host, agents, web, name, token, issued_ms}: without it the host is not linked, whatever else lies there
 *       key.pem         made on this host, never leaves it
 *       cert.pem        by the console's authority
 *       ca.pem          that authority
 *       key.next.pem    while a renewed certificate is being stored
 *
 * The order of the steps is such that a crash between any two of them leaves the old or the new identity, whole. Everything
 * here blocks: it is called at start-up and in threads. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct identity {
    char *key_pem;
    char *cert_pem;
    char *ca_pem;
    char *host;   /* a UUID: the certificate's common name */
    char *agents; /* "host:port" of the channel */
    char *web;    /* "host:port" of page and API */
    char *name;   /* as the console calls itself; may be empty */
    char *token;  /* SHA-256 in hex of the enrolment string, which is good once; "": not known */
    int64_t issued_ms; /* when the certificate came, by our clock */
    int64_t from_ms;   /* as the certificate says; filled by identity_check() */
    int64_t until_ms;
};

enum { IDENTITY_TEXT = 500 /* room for a sentence */ };

/* Frees, after overwriting the key.  An empty one is fine. */
void identity_clear(struct identity *id);
#define AUTOIDENTITY __attribute__((cleanup(identity_clear)))

/* Do the parts belong together: the certificate to key, host and CA, an address of the channel?  Fills from_ms and until_ms.
 * 0; ERR_EXPIRED when that is all that is wrong; else ERR_INVALID or ERR_SYNTAX with a sentence. */
int identity_check(struct identity *id, int64_t now_ms, char *reterr_text, size_t size);

/* When the certificate is to be renewed: after two thirds of its life. */
int64_t identity_renew_ms(const struct identity *id);

/* Reads the files in `home` and checks them; a certificate that is not valid now is loaded too, for clocks are wrong at times.
 * `ret_id` is empty.  0, ERR_NOT_FOUND (not linked), or an error with a sentence. */
int identity_load(const char *home, struct identity *ret_id, char *reterr_text, size_t size);

/* Does an error of identity_load() say nothing about the files themselves (no descriptors left, a disk that fails, no
 * permission)?  Then it may be gone the next time. */
bool identity_may_pass(int error);

/* Makes the folder and removes what half-written files a crash left there; -EPERM when it belongs to another user.  Not while
 * another thread stores something. */
int identity_prepare(const char *home);

/* Stores a new identity; on failure nothing is left. */
int identity_save(const char *home, const struct identity *id);

/* Stores a renewed one: key, certificate and issued_ms.  On failure the old one stays. */
int identity_renew(const char *home, const struct identity *id);

/* Removes everything.  0 or the first error; then the host may count as linked still. */
int identity_forget(const char *home);
