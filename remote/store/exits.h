/* exits.h -- how processes ended: kept for 90 days, the last LIMIT_EXITS of each. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;

struct exit_row {
    int64_t at_ms;  /* by its host's clock */
    bool by_signal; /* `number` is the signal, else the exit code */
    int64_t number;
    bool core;
    bool asked; /* somebody wanted it to end */
    int64_t uptime_ms;
};

struct exit_list {
    struct exit_row *rows;
    size_t count;
};
void exit_list_clear(struct exit_list *l);

/* One that is there already: 0, nothing happens.  Errors of history_seen(). */
int exits_add(struct db *db, const char *host, const char *app, int64_t instance,
              const struct exit_row *row, int64_t now_ms);

/* Newest first; a process that was never heard of has none. */
int exits_list(struct db *db, const char *host, const char *app, int64_t instance, size_t limit,
               struct exit_list *ret_list);

/* Retention: removes some that are too old; 1 when there may be more. */
int exits_forget(struct db *db, int64_t now_ms);
