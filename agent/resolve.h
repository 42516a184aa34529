/* resolve.h -- looks up a host's addresses, in a thread of its own: a resolver that hangs for half a minute must hold up neither
 * the threads that write records nor the agent's end. */
#pragma once

#include <uv.h>

enum { RESOLVE_ADDRESSES = 8, RESOLVE_TEXT = 64 };

struct resolved {
    char address[RESOLVE_ADDRESSES][RESOLVE_TEXT]; /* "192.0.2.1", "2001:db8::1", "fe80::1%2" */
    unsigned count;                                /* at least 1 */
};

struct resolve;

/* `r` is 0, or an error with a sentence's end: "no such name".  Comes from the loop. */
typedef void (*resolve_cb)(void *arg, int r, const char *why, const struct resolved *addresses);

/* -errno: then no callback comes. */
int resolve_start(uv_loop_t *loop, const char *host, resolve_cb done, void *arg,
                  struct resolve **ret_resolve);

/* `done` does not come any more; the thread, if it hangs, is left to itself. */
void resolve_cancel(struct resolve *r);
