/* enrol.h -- makes this host a host of a console: a new key, a request for a certificate, and the files.
 *
 * All of it runs in a thread.  The token, the key and the request are in no log and in no sentence. */
#pragma once

#include <uv.h>

#include "lib/secure/hash.h"

struct enrol_token;
struct enrol;
struct identity;

/* `r` is 0: `id` is stored on disk, and the callee may take what it holds.  Else `text` is one sentence, and nothing is left. */
typedef void (*enrol_cb)(void *arg, int r, const char *text, struct identity *id);

/* `token` is copied.  `done` is called once, from the loop. */
struct enrol *enrol_start(uv_loop_t *loop, const char *home, const struct enrol_token *token,
                          enrol_cb done, void *arg);

/* What the identity remembers of the token that it came by. */
void enrol_token_hash(const struct enrol_token *token, char ret_hash[static SHA256_TEXT]);

/* Ends it within about a second; `done` tells.  What the console has granted already is still stored. */
void enrol_cancel(struct enrol *e);
