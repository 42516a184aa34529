/* history.h (store) -- what processes used: a packed row per process and minute, and after a day one per ten minutes.
 *
 *     minutes   24 hours   a value every 5 s (minute.h)
 *     spans     30 days    average and most of ten minutes
 *
 * Times are the console's own; processes are known by host, app and instance. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/base/uuid.h"
#include "remote/store/minute.h"

struct db;
struct series;

struct history_row {
    int64_t process;      /* its number; 0: not known yet, filled in by history_add() */
    int64_t seen_ms;      /* not 0: note that it was there then, and find its number by its name */
    char host[UUID_TEXT]; /* the name: only looked at with `seen_ms` */
    char *app;            /* owned by the row */
    int64_t instance;
    struct minute minute; /* without any value: nothing is added but `seen_ms` */
};
void history_row_clear(struct history_row *row);

/* What is there of that minute stays.  ERR_TOO_BIG: the host has LIMIT_HOST_HISTORY processes; ERR_NOT_FOUND: no such host. */
int history_add(struct db *db, struct history_row *row);

/* The number of a process.  Find: ERR_NOT_FOUND.  Seen: made when it is new, errors as above; to be done once in a few hours at
 * least, since one that was not seen for 91 days is forgotten. */
int history_find(struct db *db, const char *host, const char *app, int64_t instance,
                 int64_t *ret_process);
int history_seen(struct db *db, const char *host, const char *app, int64_t instance, int64_t now_ms,
                 int64_t *ret_process);

/* Puts what is stored of a process into a series, and `count` minutes that are not stored yet, or only in part, and are the
 * newest.  One that was never heard of has nothing. */
int history_read(struct db *db, const char *host, const char *app, int64_t instance,
                 const struct minute *newest, size_t count, struct series *s);

/* ---- retention: each does one bounded piece, 1 when there may be more to do ------------------- */

int history_thin(struct db *db, int64_t now_ms);   /* minutes that are a day old become spans */
int history_forget(struct db *db, int64_t now_ms); /* spans, and processes, that are too old */
