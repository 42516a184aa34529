/* scrypts.h -- makes and checks password hashes in threads: two at a time, as each takes 32 MiB and 100 ms, and at most 50 wait. */
#pragma once

#include <uv.h>

struct scrypts;

enum { SCRYPTS_AT_ONCE = 2, SCRYPTS_WAITING = 50 };

struct scrypts *scrypts_new(uv_loop_t *loop);

/* What waits ends with ERR_STOPPING; what runs, ends; then it is freed.  The loop must run on. */
void scrypts_free(struct scrypts *s);

/* `r` 0, ERR_INVALID (wrong password), ERR_SYNTAX (the stored hash is none), ERR_STOPPING.  `hash`: of scrypts_hash() with 0, borrowed. */
typedef void (*scrypts_cb)(void *arg, int r, const char *hash);

/* Each returns 0, or ERR_TOO_MANY when too many wait; then `done` is not called.  Texts are copied, and wiped afterwards.
 * `stored` NULL: there is no such user, which takes the same work and is a wrong password. */
int scrypts_verify(struct scrypts *s, const char *stored, const char *password, scrypts_cb done,
                   void *arg);
int scrypts_hash(struct scrypts *s, const char *password, scrypts_cb done, void *arg);
