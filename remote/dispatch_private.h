/* dispatch_private.h -- what the files dispatch*.c share; nobody else includes it.
 *
 * dispatch.c keeps the captures that are not settled, writes their rows, and looks at the clock;
 * dispatch_order.c starts and stops; dispatch_host.c is what hosts tell; dispatch_view.c shows. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "lib/base/list.h"
#include "remote/capture_state.h"
#include "remote/dispatch.h"

enum { DISPATCH_BUCKETS = 1024, DISPATCH_TEXT = 512 };

struct dispatch {
    uv_loop_t *loop;
    struct store *store;
    struct fleet *fleet;
    struct live *live;
    uv_timer_t *watch; /* freed in its close callback */
    int64_t grace_until_ms;
    int64_t retry_ms; /* rows that could not be written are tried again then; 0: now */
    int64_t retry_wait_ms;
    size_t count;
    struct list entries[DISPATCH_BUCKETS]; /* of struct entry, by id */
    dispatch_send_cb send;
    void *send_arg;
    bool closing;
};

/* A capture that is not settled, or whose last change is not on disk. */
struct entry {
    struct list link;
    struct dispatch *dispatch;
    struct capture_row row;
    bool dirty; /* the row on disk is older, and no write is under way with this one */
    /* Under way: one at a time, the latest wins (but for the last, at the end of the console). */
    unsigned writes;
    unsigned give;     /* CAPTURE_GIVE_… to be sent when the row is on disk */
    struct list waits; /* of struct wait: want to know when the row is on disk */
};

/* Somebody who waits for a row's next change to be committed.  Owned by him; unlinked before he
 * is told. */
struct wait {
    struct list link;
    void (*committed)(struct wait *w, int r, const struct capture_row *row);
    void *owner;
};

struct entry *dispatch_find(struct dispatch *d, const char *id);

/* Takes the row (its storage moves; `row` is empty then). */
struct entry *dispatch_adopt(struct dispatch *d, struct capture_row *row);

/* The event's doing on the row: written, published, sent.  Returns capture_happen()'s bits.  The
 * entry may be gone afterwards only in later callbacks. */
unsigned dispatch_event(struct entry *e, const struct capture_happening *h);

/* Sends what the bits say; false when the host is not connected. */
bool dispatch_give(struct dispatch *d, const struct capture_row *row, unsigned give);
void dispatch_ack(struct dispatch *d, const char *host, const char *id);

void dispatch_publish(struct dispatch *d, const struct capture_row *row);

/* A copy with a record of its own; the caller clears. */
struct capture_row capture_row_copy(const struct capture_row *row);
