/* capture_state.h -- what a message, a wish or the clock does to a capture's row.  Decisions only:
 * no I/O, no timers; dispatch.c acts.
 *
 * How far a capture is (its standing) follows from its row; the table in capture_state.c says
 * what each event does in each standing. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "remote/capture_record.h"

struct capture_row;

/* enum, word for tests and logs */
#define CAPTURE_STANDINGS(X)                                                                       \
    X(STANDING_WAITING, "waiting")   /* its host has not been given it */                          \
    X(STANDING_GIVEN, "given")       /* it has, or may have */                                     \
    X(STANDING_RUNNING, "running")   /* the host says so */                                        \
    X(STANDING_OWED, "owed")         /* it has ended; its result is still to come */               \
    X(STANDING_GIVEN_UP, "given up") /* we have ended it; the host may know better */              \
    X(STANDING_SETTLED, "settled")   /* nothing changes any more */

enum capture_standing {
#define X(name, word) name,
    CAPTURE_STANDINGS(X)
#undef X
};

#define CAPTURE_EVENTS(X)                                                                          \
    X(CAPTURE_ON_HOST, "host")       /* its host is connected, anew */                             \
    X(CAPTURE_ON_STOP, "stop")       /* somebody wants its end, with the result */                 \
    X(CAPTURE_ON_CANCEL, "cancel")   /* or without */                                              \
    X(CAPTURE_ON_QUEUED, "queued")   /* the host's record: it waits there */                       \
    X(CAPTURE_ON_RUNNING, "running") /* it runs */                                                 \
    X(CAPTURE_ON_END, "end")         /* it has ended and there is no result */                     \
    X(CAPTURE_ON_RESULT, "result")   /* it has ended and there is one */                           \
    X(CAPTURE_ON_UNKNOWN, "unknown") /* the host knows no such capture, or did not take it on */   \
    X(CAPTURE_ON_LATE, "late")       /* clock: past not_after_ms, and not given */                 \
    X(CAPTURE_ON_DUE, "due")         /* clock: past due_ms */                                      \
    X(CAPTURE_ON_STORED, "stored")   /* the result is in the store */                              \
    X(CAPTURE_ON_LOST, "lost")       /* the result will never come */                              \
    X(CAPTURE_ON_MISSED, "missed")   /* its host had gone when it was to be given */               \
    X(CAPTURE_ON_REVOKED, "revoked") /* its host will never be let in again */                     \
    X(CAPTURE_ON_NO_CAPTURES, "no captures") /* its host came and takes none */                    \
    X(CAPTURE_ON_NO_RESULTS, "no results")   /* its host came and brings none */

enum capture_event {
#define X(name, word) name,
    CAPTURE_EVENTS(X)
#undef X
        CAPTURE_EVENT_COUNT
};

const char *capture_standing_name(enum capture_standing standing);
const char *capture_event_name(enum capture_event event);

/* How long after its limit a capture's end may come, and the time that is left to every stop. */
enum { CAPTURE_SLACK_MS = 30000 };
/* Phases that come late move `due_ms`, but not further than so long past where it could be at
 * most. */
enum { CAPTURE_PHASES_MS = 120000 };

/* What comes of it.  Each give_… is a message to the host, to be sent when the row is committed,
 * and again when it could not be sent. */
enum {
    CAPTURE_CHANGED = 1, /* the row is another */
    CAPTURE_GIVE_START = 2,
    CAPTURE_GIVE_STOP = 4,
    CAPTURE_GIVE_CANCEL = 8,
    CAPTURE_GIVE_GET = 16,
    CAPTURE_GIVE_ACK = 32,
    CAPTURE_GIVES = 62,
    CAPTURE_REFUSED = 64, /* stop, cancel: it has ended */
};

struct capture_happening {
    enum capture_event event;
    int64_t now_ms;
    const struct capture_record *record; /* of the events that are a record's */
    /* UNKNOWN, DUE, LOST, and those of hosts that cannot: the error's name and its sentence */
    const char *code;
    const char *text;
};

enum capture_standing capture_standing(const struct capture_row *row);

/* Which event is the host's record? */
enum capture_event capture_event_of(const struct capture_record *record);

/* Changes the row (and its `record`) as the table says; returns the bits above. */
unsigned capture_happen(struct capture_row *row, const struct capture_happening *h);

/* Has the clock something to say?  `grace`: nothing is given up now (we have just started). */
bool capture_clock(const struct capture_row *row, int64_t now_ms, bool grace,
                   enum capture_event *ret_event);
