/* thin.c -- the history gets thinner, and ends: a bounded piece of work at a time (history.h). */
#include <stddef.h>

#include "lib/base/err.h"
#include "remote/store/history.h"
#include "remote/store/history_private.h"
#include "remote/store/sql.h"

#define HOUR_MS (3600 * INT64_C(1000))
#define MINUTES_FOR_MS (24 * HOUR_MS)
#define SPANS_FOR_MS (30 * 24 * HOUR_MS)
#define PROCESSES_FOR_MS (91 * 24 * HOUR_MS) /* longer than anything of theirs */

/* Of one piece of work. */
enum { PROCESSES = 100, ROWS = 500 };

/* Sums over ten minutes of a process. */
struct sums {
    int64_t samples, cpu, pages;
    uint32_t cpu_most, pages_most;
};

/* The oldest minute; 0: there is none that is old. */
static int oldest_minute(struct db *db, int64_t before, int64_t *ret_minute)
{
    int64_t minute = 0;
    int r = sql_get_int(db, "SELECT minute FROM minutes ORDER BY minute LIMIT 1", NO_ARGS, &minute);
    if (r < 0)
        return r;
    *ret_minute = r == 1 && minute < before ? minute : 0;
    return 0;
}

/* Some of the processes that have this minute. */
static int list_processes(struct db *db, int64_t minute, int64_t *ret_processes, size_t *ret_count)
{
    size_t count = 0;
    AUTOQUERY struct query q = {0};
    int r =
        sql_query(&q, db, "SELECT process FROM minutes WHERE minute = ? ORDER BY process LIMIT ?",
                  ARGS(INT(minute), INT(PROCESSES)));
    while (r >= 0 && (r = sql_next(&q)) == 1)
        ret_processes[count++] = sql_int(&q);
    *ret_count = count;
    return r;
}

static void sum(struct sums *s, const struct minute *m)
{
    for (unsigned i = 0; i < MINUTE_PLACES; i++) {
        const struct minute_value *v = &m->values[i];
        if (!(m->have & 1u << i))
            continue;
        s->samples++;
        s->cpu += v->cpu;
        s->pages += v->pages;
        if (v->cpu > s->cpu_most)
            s->cpu_most = v->cpu;
        if (v->pages > s->pages_most)
            s->pages_most = v->pages;
    }
}

/* Takes one minute out. */
static int take_minute(struct db *db, int64_t minute, int64_t process, struct sums *s)
{
    struct minute m;
    size_t len;
    AUTOQUERY struct query q = {0};
    int r = sql_query_one(&q, db, "SELECT data FROM minutes WHERE minute = ? AND process = ?",
                          ARGS(INT(minute), INT(process)));
    if (r < 0)
        return r == ERR_NOT_FOUND ? 0 : r;
    const void *bytes = sql_bytes(&q, &len);
    if (minute_unpack(minute, bytes, len, &m) == 0)
        sum(s, &m);
    sql_end(&q);
    return sql_one(db, "DELETE FROM minutes WHERE minute = ? AND process = ?",
                   ARGS(INT(minute), INT(process)));
}

/* A span that is there already (the clock was put back) counts with its samples. */
static int add_span(struct db *db, int64_t span, int64_t process, const struct sums *s)
{
    if (s->samples == 0)
        return 0;
    int r = sql_run(db,
                    "INSERT INTO spans (span, process, samples, cpu, cpu_most, pages, pages_most)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
                    " cpu = (cpu * samples + excluded.cpu * excluded.samples)"
                    "       / (samples + excluded.samples),"
                    " pages = (pages * samples + excluded.pages * excluded.samples)"
                    "       / (samples + excluded.samples),"
                    " cpu_most = MAX(cpu_most, excluded.cpu_most),"
                    " pages_most = MAX(pages_most, excluded.pages_most),"
                    " samples = samples + excluded.samples",
                    ARGS(INT(span), INT(process), INT(s->samples), INT(s->cpu / s->samples),
                         INT(s->cpu_most), INT(s->pages / s->samples), INT(s->pages_most)));
    return r < 0 ? r : 0;
}

static int thin_process(struct db *db, int64_t span, int64_t process)
{
    struct sums s = {0};
    int64_t minute = span * HISTORY_SPAN_MINUTES, end = minute + HISTORY_SPAN_MINUTES;
    for (; minute < end; minute++) {
        int r = take_minute(db, minute, process, &s);
        if (r < 0)
            return r;
    }
    return add_span(db, span, process, &s);
}

int history_thin(struct db *db, int64_t now_ms)
{
    int64_t minute, processes[PROCESSES];
    size_t count;
    /* Whole spans only. */
    int64_t before = (now_ms - MINUTES_FOR_MS) / HISTORY_SPAN_MS * HISTORY_SPAN_MINUTES;
    int r = oldest_minute(db, before, &minute);
    if (r < 0 || minute == 0)
        return r;
    r = list_processes(db, minute, processes, &count);
    for (size_t i = 0; r >= 0 && i < count; i++)
        r = thin_process(db, minute / HISTORY_SPAN_MINUTES, processes[i]);
    return r < 0 ? r : 1;
}

int history_forget(struct db *db, int64_t now_ms)
{
    int r = sql_run(db,
                    "DELETE FROM spans WHERE (span, process) IN (SELECT span, process FROM spans"
                    " WHERE span < ? ORDER BY span, process LIMIT ?)",
                    ARGS(INT((now_ms - SPANS_FOR_MS) / HISTORY_SPAN_MS), INT(ROWS)));
    if (r == 0)
        r = sql_run(db,
                    "DELETE FROM processes WHERE id IN (SELECT id FROM processes WHERE seen_ms < ?"
                    " LIMIT ?)",
                    ARGS(INT(now_ms - PROCESSES_FOR_MS), INT(ROWS)));
    return r > 0 ? 1 : r;
}
