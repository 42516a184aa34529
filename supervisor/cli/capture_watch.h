/* capture_watch.h -- captures that run, shown on standard error, and what Ctrl-C asks for.
 *
 * On a terminal it is one line that is drawn anew; elsewhere a line for each phase.  The first Ctrl-C ends the captures and
 * keeps the results, a second one drops them, a third one no longer waits. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum watch_order { WATCH_GO_ON, WATCH_STOP, WATCH_CANCEL, WATCH_LEAVE };

struct watch_item {
    const char *label; /* "api-0"; borrowed */
    bool ended;        /* set by the owner */
    const char *phase; /* private */
};

struct capture_watch {
    struct watch_item *items;
    size_t count;
    int64_t duration_ms; /* 0: until stopped */
    int64_t running_ms;  /* monotonic, when the first began to measure; 0: not yet */
    int told;            /* Ctrl-Cs that were obeyed */
    bool terminal;
    bool settled;
    int settled_presses;
};

/* Shows `items` (borrowed) and takes SIGINT, SIGTERM and SIGHUP over, which then only end waiting. */
void capture_watch_begin(struct capture_watch *w, struct watch_item *items, size_t count,
                         int64_t duration_ms);
/* Takes the line away and gives the signals back. */
void capture_watch_end(struct capture_watch *w);

/* A capture entered a phase (a name as in docs/PROTOCOL.md). */
void capture_watch_phase(struct capture_watch *w, struct watch_item *item, const char *phase);

/* What is to be done now.  One press is one step, however often this is asked; capture_watch_obeyed() when it was done. */
enum watch_order capture_watch_order(const struct capture_watch *w);
void capture_watch_obeyed(struct capture_watch *w);

/* All captures have ended, and only their results are to come: the next press no longer waits. */
void capture_watch_settled(struct capture_watch *w);

/* Has somebody pressed as often as it takes to leave, whatever was obeyed?  For those that must not wait on. */
bool capture_watch_leaving(const struct capture_watch *w);

/* To be called several times a second: time passes. */
void capture_watch_draw(const struct capture_watch *w);

/* A line that stays. */
void capture_watch_note(const struct capture_watch *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
