/* https.h -- requests to one console, one at a time over one connection.  libcurl stays in here.
 *
 * It knows TLS, time-outs and sizes; what paths and replies mean is api.h's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;
struct https;

enum { HTTPS_TEXT = 500 };

struct https_setup {
    const char *url;    /* "https://host:port" and nothing behind it but "/" */
    const char *bearer; /* of the Authorization header; copied */
    const uint8_t *
        pin; /* SHA-256 of the CA that vouches for the console; NULL: `ca_file` says who does; copied */
    const char *ca_file; /* PEM; copied */
};

/* Returns 0, or ERR_INVALID (the URL) or ERR_FAILED, each with a sentence.  Nothing is sent yet. */
int https_open(struct https **ret_https, const struct https_setup *setup,
               char reterr_text[static HTTPS_TEXT]);
void https_close(struct https *h); /* NULL is fine */

/* Asked about once a second while a request waits: true ends it with ERR_CANCELLED. */
void https_on_wait(struct https *h, bool (*stop)(void *arg), void *arg);

/* GET, or POST of the JSON text `body` (NULL: GET).  Fills `reply`, up to its limit.  Returns the status (200, 404, …); ERR_TOO_BIG;
 * ERR_CANCELLED; ERR_UNTRUSTED: who answers is not the console that was meant, and was sent nothing; or ERR_UNREACHABLE: no
 * answer, or half of one; each with a sentence. */
int https_call(struct https *h, const char *path, const char *body, struct buf *reply,
               char reterr_text[static HTTPS_TEXT]);

/* GET; what comes with status 200 goes into the file `fd`, from its position on, at most `limit` bytes; of any other status into
 * `reply`.  Has no time limit as long as bytes come.  Returns as https_call(), or -errno. */
int https_fetch(struct https *h, const char *path, int fd, uint64_t limit, struct buf *reply,
                char reterr_text[static HTTPS_TEXT]);
