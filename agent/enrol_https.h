/* enrol_https.h -- the one HTTPS request of an enrolment: blocking, for threads.
 *
 * libcurl is loaded when the first request is made and not linked: it brings 27 libraries, which would cost each agent 0.7 MB
 * and 2.5 ms at every start, for something that happens once in a host's life. */
#pragma once

#include <stdatomic.h>
#include <stddef.h>

struct buf;
struct enrol_token;

enum { ENROL_CONNECT_MS = 10000, ENROL_ALL_MS = 20000 };

/* Posts `body` to /api/v1/enrol.  Nothing of it leaves this host unless the server shows a certificate for the token's host by
 * the CA that the token names.  Follows $https_proxy, but not to this machine itself.  When `*cancelled` becomes true it ends
 * within a second.
 *
 * 0 with status and answer (up to the limit of `ret_answer`); else an error with a sentence that holds no secret. */
int enrol_https_post(const struct enrol_token *token, const char *body, size_t len,
                     const atomic_bool *cancelled, long *ret_status, struct buf *ret_answer,
                     char *reterr_text, size_t size);
