#include "remote/store/exits.h"

#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "remote/store/history.h"
#include "remote/store/sql.h"

#define KEEP_MS (90 * 24 * 3600 * INT64_C(1000))

enum { ROWS = 500 };

void exit_list_clear(struct exit_list *l)
{
    free(l->rows);
    *l = (struct exit_list){0};
}

/* The oldest that are too many. */
static int drop_some(struct db *db, int64_t process)
{
    int r = sql_run(db,
                    "DELETE FROM exits WHERE process = ?1 AND at_ms <="
                    " (SELECT at_ms FROM exits WHERE process = ?1 ORDER BY at_ms DESC"
                    "  LIMIT 1 OFFSET ?2)",
                    ARGS(INT(process), INT(LIMIT_EXITS)));
    return r < 0 ? r : 0;
}

int exits_add(struct db *db, const char *host, const char *app, int64_t instance,
              const struct exit_row *row, int64_t now_ms)
{
    int64_t process;
    int r = history_seen(db, host, app, instance, now_ms, &process);
    if (r < 0)
        return r;
    r = sql_run(db,
                "INSERT INTO exits (process, at_ms, by_signal, number, core, asked, uptime_ms)"
                " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
                ARGS(INT(process), INT(row->at_ms), INT(row->by_signal), INT(row->number),
                     INT(row->core), INT(row->asked), INT(row->uptime_ms)));
    return r > 0 ? drop_some(db, process) : r;
}

static void read_row(struct query *q, struct exit_row *ret_row)
{
    ret_row->at_ms = sql_int(q);
    ret_row->by_signal = sql_bool(q);
    ret_row->number = sql_int(q);
    ret_row->core = sql_bool(q);
    ret_row->asked = sql_bool(q);
    ret_row->uptime_ms = sql_int(q);
}

int exits_list(struct db *db, const char *host, const char *app, int64_t instance, size_t limit,
               struct exit_list *ret_list)
{
    int64_t process;
    struct exit_list list = {0};
    AUTOQUERY struct query q = {0};
    int r = history_find(db, host, app, instance, &process);
    if (r == 0)
        r = sql_query(&q, db,
                      "SELECT at_ms, by_signal, number, core, asked, uptime_ms FROM exits"
                      " WHERE process = ? ORDER BY at_ms DESC LIMIT ?",
                      ARGS(INT(process), INT(limit)));
    while (r >= 0 && (r = sql_next(&q)) == 1)
        read_row(&q, ROWS_ADD(&list));
    if (r < 0 && r != ERR_NOT_FOUND) {
        exit_list_clear(&list);
        return r;
    }
    *ret_list = list;
    return 0;
}

int exits_forget(struct db *db, int64_t now_ms)
{
    int r = sql_run(db,
                    "DELETE FROM exits WHERE (process, at_ms) IN (SELECT process, at_ms FROM exits"
                    " WHERE at_ms < ? ORDER BY at_ms LIMIT ?)",
                    ARGS(INT(now_ms - KEEP_MS), INT(ROWS)));
    return r > 0 ? 1 : r;
}
