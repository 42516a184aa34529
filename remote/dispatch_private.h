/* dispatch_private.h -- what the files dispatch*.c share; nobody else includes it.
 *
 * dispatch.c keeps the captures that have not ended, writes their rows, and looks at the clock;
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
    /* The two clocks (tests have their own), what they said when they last agreed, and by how much
     * the first has been set in all. */
    int64_t (*wall_ms)(void);
    int64_t (*steady_ms)(void);
    int64_t wall_base_ms, steady_base_ms, jumped_ms;
    /* By the steady clock. */
    int64_t grace_until_ms;
    int64_t retry_ms; /* rows that could not be written are tried again then; 0: now */
    int64_t retry_wait_ms;
    size_t count;
    struct list entries[DISPATCH_BUCKETS]; /* of struct entry, by id */
    struct list orders;                    /* of struct order: those that are being written */
    /* A row that was read before one of its bucket was forgotten may be older than that. */
    uint64_t forgets, forgotten[DISPATCH_BUCKETS];
    dispatch_send_cb send;
    dispatch_takes_cb takes;
    void *send_arg;
    bool closing;
};

/* A capture that has not ended, or whose last change is not on disk. */
struct entry {
    struct list link;
    struct dispatch *dispatch;
    struct capture_row row;
    bool given; /* its start has been sent, or may have been */
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

/* The event's doing on the row: written, published, sent.  Returns capture_happen()'s bits.  Without
 * CAPTURE_CHANGED the entry may be gone afterwards. */
unsigned dispatch_event(struct entry *e, const struct capture_happening *h);

/* One that has ended, and of which nothing is to be written, is not kept in memory. */
void dispatch_settle(struct entry *e);

/* Sends what the bits say about a row that is on disk.  One that could not be given to its host
 * waits for it again. */
void dispatch_give(struct entry *e, const struct capture_row *row, unsigned give);
bool dispatch_takes(const struct dispatch *d, const char *host, const char *capability);

/* A host that is revoked: the event and its sentence, in `text`. */
struct capture_happening dispatch_revocation(struct dispatch *d, const char *host_name, char *text,
                                             size_t size);

/* Wall clock.  When it was set, all times that are waited for are moved before it says so. */
int64_t dispatch_now(struct dispatch *d);
/* Moves what is waited for in a row that was made when `jumped_ms` of the dispatch was so much. */
bool dispatch_move_times(const struct dispatch *d, struct capture_row *row, int64_t jumped_ms);

/* Could a row that was read when `forgets` was so much be out of date? */
bool dispatch_stale(const struct dispatch *d, const char *id, uint64_t forgets);
void dispatch_ack(struct dispatch *d, const char *host, const char *id);

/* Reads what is open of hosts that are revoked. */
void dispatch_end_revoked(struct dispatch *d);

void dispatch_publish(struct dispatch *d, const struct capture_row *row);

/* A copy with a record of its own; the caller clears. */
struct capture_row capture_row_copy(const struct capture_row *row);
