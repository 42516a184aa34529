/* keep_link.h -- the supervisor's end of the keeper's socket: descriptors and small records that outlive us.
 *
 * Rule: store before use, drop before close.  A stored descriptor stays the caller's own; the keeper has a copy of it, and the
 * next supervisor gets it back under the same name.  Without a keeper (proctord run by hand) storing does nothing and nothing
 * is ever given back.  When the keeper is gone the supervisor becomes the keeper (keep_link_become()).
 *
 * Names (i7: instance with pm_id 7):  lock  control  state  slots  hold  begun  triggers  agent.sock  agent.pid  agent.json
 *   i7.pid  i7.error  i7.exits  i7.ipc  i7.ipc.json  i7.ipc.part  i7.inspector     i7.out.r  i7.out.w  i7.out.file  i7.out.index  i7.out.lost   i7.err.…
 *   c/<capture id>.json  c/<capture id>.out  c/<capture id>.sock  c/<capture id>.pid                              */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <uv.h>

#include "lib/base/buf.h"
#include "lib/keep/keep.h"

struct keep_entry;

/* A child of the keeper has ended; the record is acknowledged when this returns. */
typedef void (*keep_exit_cb)(void *arg, const struct keep_msg *exit);
/* The keeper is gone. */
typedef void (*keep_gone_cb)(void *arg);

struct keep_link {
    int sock; /* -1: there is no keeper */
    pid_t keeper_pid;
    uint32_t flags; /* of SYNCED */
    uint32_t starts;
    int last_status;            /* how the supervisor before this one ended */
    int64_t last_ended_ms;      /* CLOCK_MONOTONIC; 0: none */
    struct keep_entry *entries; /* sorted by name: what is stored, and our own descriptor of it */
    size_t count, room;
    struct keep_msg *early; /* exits that came before keep_link_watch() */
    size_t early_count;
    uv_poll_t poll;
    uv_idle_t late; /* hands the early ones out */
    bool watching;
    bool gone; /* it has died, or was ended since it took nothing any more */
    keep_exit_cb on_exit;
    keep_gone_cb on_gone;
    void *arg;
};

/* Takes `sock` (-1: no keeper) and waits for everything that is stored there, at most 10 s.  0 or a negative code. */
int keep_link_open(struct keep_link *k, int sock);
/* Exits that came, and those that come, go to `on_exit` from the loop from now on. */
int keep_link_watch(struct keep_link *k, uv_loop_t *loop, keep_exit_cb on_exit,
                    keep_gone_cb on_gone, void *arg);
void keep_link_close(struct keep_link *k);
void keep_link_clear(struct keep_link *k);

bool keep_link_again(const struct keep_link *k); /* is there something to adopt? */

/* Stores a copy of `fd` under the name; what was there under it is replaced.  0, or a negative code: then it is not stored
 * (-EMFILE: the keeper has no room for it).  The descriptor must stay open, under its number, until keep_drop(). */
int keep_store(struct keep_link *k, int fd, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* What the keeper has given back; the descriptor is the caller's from now on, and stays stored.  -1: there is none. */
int keep_take(struct keep_link *k, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Forgets it; a name that ends in '*' stands for all that begin so. */
void keep_drop(struct keep_link *k, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The same for bytes (in a memfd of ours).  keep_get(): 0, -ENOENT, ERR_TOO_BIG past the buffer's limit. */
int keep_put(struct keep_link *k, const char *bytes, size_t len, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
int keep_get(struct keep_link *k, struct buf *out, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Calls `each` for every stored name that begins with `prefix`.  `each` may take, not store or drop. */
typedef void (*keep_name_cb)(void *arg, const char *name);
void keep_each(struct keep_link *k, const char *prefix, keep_name_cb each, void *arg);

/* After adoption: what was given back and nobody has taken is closed and dropped, and said in the log. */
void keep_drop_untaken(struct keep_link *k);

void keep_up(struct keep_link *k);
void keep_upgrade(struct keep_link *k);
void keep_bye(struct keep_link *k);

/* The keeper is gone: puts all stored descriptors in order and executes proctor-keeper in this process.  Returns only on
 * failure, with a negative code. */
int keep_link_become(struct keep_link *k, const char *home);

/* Just before we end for the next supervisor: from then on the keeper alone would have everything.  A child of ours has it too,
 * until that supervisor has; it becomes the keeper when ours is killed in between. */
void keep_link_hold(struct keep_link *k, const char *home);
