#include "remote/store/history.h"

#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "remote/store/history_private.h"
#include "remote/store/series.h"
#include "remote/store/sql.h"

void history_row_clear(struct history_row *row)
{
    free(row->app);
    *row = (struct history_row){0};
}

/* ---- processes ------------------------------------------------------------------------------- */

int history_find(struct db *db, const char *host, const char *app, int64_t instance,
                 int64_t *ret_process)
{
    int r = sql_get_int(db, "SELECT id FROM processes WHERE host = ? AND app = ? AND instance = ?",
                        ARGS(TEXT(host), TEXT(app), INT(instance)), ret_process);
    if (r < 0)
        return r;
    return r == 1 ? 0 : ERR_NOT_FOUND;
}

static int add_process(struct db *db, const char *host, const char *app, int64_t instance,
                       int64_t now_ms, int64_t *ret_process)
{
    int64_t count = 0;
    int r = sql_get_int(db, "SELECT processes FROM hosts WHERE id = ?", ARGS(TEXT(host)), &count);
    if (r <= 0)
        return r < 0 ? r : ERR_NOT_FOUND;
    if (count >= LIMIT_HOST_HISTORY)
        return ERR_TOO_BIG;
    r = sql_run(db, "INSERT INTO processes (host, app, instance, seen_ms) VALUES (?, ?, ?, ?)",
                ARGS(TEXT(host), TEXT(app), INT(instance), INT(now_ms)));
    return r < 0 ? r : history_find(db, host, app, instance, ret_process);
}

int history_seen(struct db *db, const char *host, const char *app, int64_t instance, int64_t now_ms,
                 int64_t *ret_process)
{
    int r = history_find(db, host, app, instance, ret_process);
    if (r == ERR_NOT_FOUND)
        return add_process(db, host, app, instance, now_ms, ret_process);
    if (r == 0)
        r = sql_run(db, "UPDATE processes SET seen_ms = ? WHERE id = ? AND seen_ms < ?",
                    ARGS(INT(now_ms), INT(*ret_process), INT(now_ms)));
    return r < 0 ? r : 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static int get_minute(struct db *db, int64_t number, int64_t process, struct minute *ret_minute)
{
    size_t len;
    AUTOQUERY struct query q = {0};
    int r = sql_query_one(&q, db, "SELECT data FROM minutes WHERE minute = ? AND process = ?",
                          ARGS(INT(number), INT(process)));
    if (r < 0)
        return r;
    const void *bytes = sql_bytes(&q, &len);
    return minute_unpack(number, bytes, len, ret_minute);
}

/* A part of this minute was written by the console before this one, or before the clock was put back. */
static int merge_minute(struct db *db, int64_t process, const struct minute *m)
{
    uint8_t bytes[MINUTE_PACKED];
    struct minute both = *m, stored;
    int r = get_minute(db, m->number, process, &stored);
    if (r < 0 && r != ERR_INVALID)
        return r;
    if (r == 0)
        minute_merge(&both, &stored);
    size_t len = minute_pack(&both, bytes);
    return sql_one(db, "UPDATE minutes SET data = ? WHERE minute = ? AND process = ?",
                   ARGS(BYTES(bytes, len), INT(m->number), INT(process)));
}

static int add_minute(struct db *db, int64_t process, const struct minute *m)
{
    uint8_t bytes[MINUTE_PACKED];
    size_t len = minute_pack(m, bytes);
    int r = sql_run(db, "INSERT INTO minutes (minute, process, data) VALUES (?, ?, ?)",
                    ARGS(INT(m->number), INT(process), BYTES(bytes, len)));
    if (r == ERR_EXISTS)
        return merge_minute(db, process, m);
    return r < 0 ? r : 0;
}

int history_add(struct db *db, struct history_row *row)
{
    int r = 0;
    if (row->seen_ms)
        r = history_seen(db, row->host, row->app, row->instance, row->seen_ms, &row->process);
    if (r == 0 && row->minute.have)
        r = add_minute(db, row->process, &row->minute);
    return r;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* Which minutes, or spans, are there at all, one after the other: found by two steps down the tree each, however many processes
 * there are, and however long nothing was. */
#define EACH(table, key)                                                                           \
    "WITH RECURSIVE each (at) AS ("                                                                \
    "  SELECT MIN(" key ") FROM " table " WHERE " key " >= ?1 UNION ALL"                           \
    "  SELECT (SELECT MIN(" key ") FROM " table " WHERE " key " > at) FROM each WHERE at < ?2)"

struct reading {
    struct db *db;
    int64_t process;
    int64_t from_ms, to_ms;
    struct minute *newest;
    size_t count;
    struct series *series;
};

static int read_spans(const struct reading *a)
{
    AUTOQUERY struct query q = {0};
    int r = sql_query(
        &q, a->db,
        EACH("spans", "span") "SELECT span, samples, cpu, pages_most"
                              " FROM each CROSS JOIN spans ON span = at"
                              " WHERE process = ?3 AND at <= ?2",
        ARGS(INT(a->from_ms / HISTORY_SPAN_MS), INT(a->to_ms / HISTORY_SPAN_MS), INT(a->process)));
    while (r >= 0 && (r = sql_next(&q)) == 1) {
        int64_t at_ms = sql_int(&q) * HISTORY_SPAN_MS, samples = sql_int(&q), cpu = sql_int(&q);
        series_add_span(a->series, at_ms, HISTORY_SPAN_MS, samples, (uint32_t)cpu,
                        sql_int(&q) * MINUTE_PAGE);
    }
    return r;
}

/* False: what is here is not all of it. */
static bool merge_into_newest(const struct reading *a, const struct minute *m)
{
    for (size_t i = 0; i < a->count; i++) {
        if (a->newest[i].number != m->number)
            continue;
        minute_merge(&a->newest[i], m);
        return true;
    }
    return false;
}

static int read_minutes(const struct reading *a)
{
    AUTOQUERY struct query q = {0};
    int r = sql_query(&q, a->db,
                      EACH("minutes", "minute") "SELECT minute, data"
                                                " FROM each CROSS JOIN minutes ON minute = at"
                                                " WHERE process = ?3 AND at <= ?2",
                      ARGS(INT(minute_of(a->from_ms)), INT(minute_of(a->to_ms)), INT(a->process)));
    while (r >= 0 && (r = sql_next(&q)) == 1) {
        size_t len;
        struct minute m;
        int64_t number = sql_int(&q);
        const void *bytes = sql_bytes(&q, &len);
        /* A damaged row is a gap. */
        if (minute_unpack(number, bytes, len, &m) == 0 && !merge_into_newest(a, &m))
            series_add_minute(a->series, &m);
    }
    return r;
}

int history_read(struct db *db, const char *host, const char *app, int64_t instance,
                 const struct minute *newest, size_t count, struct series *s)
{
    struct minute copies[HISTORY_NEWEST];
    struct reading a = {.db = db,
                        .from_ms = s->from_ms,
                        .to_ms = s->from_ms + (int64_t)s->count * s->step_ms,
                        .newest = copies,
                        .series = s};
    for (; a.count < count && a.count < HISTORY_NEWEST; a.count++)
        copies[a.count] = newest[a.count];
    int r = history_find(db, host, app, instance, &a.process);
    if (r == 0)
        r = read_spans(&a);
    if (r == 0)
        r = read_minutes(&a);
    for (size_t i = 0; i < a.count; i++)
        series_add_minute(s, &copies[i]);
    return r == ERR_NOT_FOUND ? 0 : r;
}
