/* api_history.c -- what was, of a process: its use of CPU and memory, its ends, its log. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "remote/api_call.h"
#include "remote/api_routes.h"
#include "remote/fleet.h"
#include "remote/history.h"
#include "remote/logs.h"
#include "remote/store/exits.h"
#include "remote/store/history.h"
#include "remote/store/series.h"

enum { POINTS = 600, LINES = 200, SENTENCE = 400 };

#define HOUR_MS (3600 * INT64_C(1000))
#define RANGE_MS (31 * 24 * HOUR_MS)
#define LAST_MS (INT64_C(1) << 50)

/* ---- which process --------------------------------------------------------------------------- */

struct target {
    char *host, *app;
    int64_t instance;
};

static void target_clear(struct target *t)
{
    free(t->host);
    free(t->app);
}

/* False: replied. */
static bool fail_missing(struct api_call *c, const char *name)
{
    api_fail(c, ERR_INVALID, "\"%s\" of the query is missing", name);
    return false;
}

static bool read_target(struct api_call *c, struct target *t)
{
    if (!api_query_uuid(c, "host", &t->host) || !api_query_text(c, "app", LIMIT_NAME, &t->app) ||
        !api_query_int(c, "instance", 0, 0, LIMIT_INSTANCES, &t->instance))
        return false;
    if (!t->host || !t->app)
        return fail_missing(c, t->host ? "app" : "host");
    if (fleet_get(c->api->fleet, t->host))
        return true;
    api_fail(c, ERR_NOT_FOUND, "there is no such host");
    return false;
}

/* ---- series ---------------------------------------------------------------------------------- */

struct series_state {
    struct target target;
    struct minute recent[HISTORY_RECENT];
    size_t recent_count;
    struct series series;
};

static void series_state_clear(void *state)
{
    struct series_state *s = state;
    target_clear(&s->target);
    series_clear(&s->series);
}

static int read_series(struct db *db, void *arg)
{
    struct api_call *c = arg;
    struct series_state *s = c->state;
    return history_read(db, s->target.host, s->target.app, s->target.instance, s->recent,
                        s->recent_count, &s->series);
}

/* Tenths of a percent need no more digits. */
static json_t *cpu_view(const struct series_point *p)
{
    return json_real(round((double)p->cpu / (double)p->samples) / 10);
}

static json_t *point_view(const struct series *s, size_t i)
{
    const struct series_point *p = &s->points[i];
    json_t *point = json_array();
    (void)json_array_append_new(point, json_integer(s->from_ms + (int64_t)i * s->step_ms));
    (void)json_array_append_new(point, p->samples ? cpu_view(p) : json_null());
    (void)json_array_append_new(point, p->samples ? json_integer(p->memory) : json_null());
    return point;
}

static void on_series(void *arg, int r)
{
    struct api_call *c = arg;
    const struct series_state *s = c->state;
    if (r < 0) {
        api_fail(c, r, NULL);
        return;
    }
    json_t *body = json_object(), *points = json_array();
    for (size_t i = 0; i < s->series.count; i++)
        (void)json_array_append_new(points, point_view(&s->series, i));
    json_set_int(body, "step_ms", s->series.step_ms);
    (void)json_object_set_new(body, "points", points);
    api_reply(c, 200, body);
}

/* The last hour, when nothing is said. */
static bool read_range(struct api_call *c, struct series_state *s)
{
    int64_t from_ms, to_ms, points;
    if (!api_query_int(c, "to_ms", loop_wall_ms(), 1, LAST_MS, &to_ms) ||
        !api_query_int(c, "from_ms", to_ms > HOUR_MS ? to_ms - HOUR_MS : 0, 0, LAST_MS, &from_ms) ||
        !api_query_int(c, "points", POINTS, 1, LIMIT_SERIES_POINTS, &points))
        return false;
    if (from_ms >= to_ms || to_ms - from_ms > RANGE_MS) {
        api_fail(c, ERR_INVALID,
                 "\"from_ms\" of the query must be before \"to_ms\", by at most 31 days");
        return false;
    }
    series_init(&s->series, from_ms, to_ms, (size_t)points);
    return true;
}

void api_series(struct api_call *c)
{
    struct series_state *s = api_state(c, sizeof *s, series_state_clear);
    const struct target *t = &s->target;
    if (!read_target(c, &s->target) || !read_range(c, s))
        return;
    /* First what is here: what is stored in between is then read, too. */
    s->recent_count = history_recent(c->api->history, t->host, t->app, t->instance, s->recent);
    api_read(c, read_series, on_series);
}

/* ---- exits ----------------------------------------------------------------------------------- */

struct exits_state {
    struct target target;
    size_t limit;
    struct exit_list list;
};

static void exits_state_clear(void *state)
{
    struct exits_state *s = state;
    target_clear(&s->target);
    exit_list_clear(&s->list);
}

static int read_exits(struct db *db, void *arg)
{
    struct api_call *c = arg;
    struct exits_state *s = c->state;
    return exits_list(db, s->target.host, s->target.app, s->target.instance, s->limit, &s->list);
}

static json_t *exit_view(const struct exit_row *row)
{
    json_t *j = json_object();
    json_set_int(j, "at_ms", row->at_ms);
    json_set_int(j, row->by_signal ? "signal" : "code", row->number);
    json_set_bool(j, "core", row->core);
    json_set_bool(j, "asked", row->asked);
    json_set_int(j, "uptime_ms", row->uptime_ms);
    return j;
}

static void on_exits(void *arg, int r)
{
    struct api_call *c = arg;
    const struct exits_state *s = c->state;
    json_t *rows = json_array();
    for (size_t i = 0; i < s->list.count; i++)
        (void)json_array_append_new(rows, exit_view(&s->list.rows[i]));
    if (r == 0) {
        api_reply_one(c, 200, "exits", rows);
        return;
    }
    json_decref(rows);
    api_fail(c, r, NULL);
}

void api_exits(struct api_call *c)
{
    struct exits_state *s = api_state(c, sizeof *s, exits_state_clear);
    if (read_target(c, &s->target) && api_query_limit(c, &s->limit))
        api_read(c, read_exits, on_exits);
}

/* ---- logs ------------------------------------------------------------------------------------ */

struct logs_state {
    struct target target;
    char *stream;
    int64_t lines;
};

static void logs_state_clear(void *state)
{
    struct logs_state *s = state;
    target_clear(&s->target);
    free(s->stream);
}

static void on_log(void *arg, int r, const char *text, const json_t *answer)
{
    struct api_call *c = arg;
    if (r < 0)
        api_fail(c, r, "%s", text);
    else
        api_reply(c, 200, json_deep_copy(answer));
}

static bool read_stream(struct api_call *c, struct logs_state *s)
{
    if (!api_query_text(c, "stream", API_PARAM_MAX, &s->stream))
        return false;
    if (!s->stream || str_eq(s->stream, "out") || str_eq(s->stream, "err"))
        return true;
    api_fail(c, ERR_INVALID, "\"stream\" of the query must be out or err");
    return false;
}

void api_logs(struct api_call *c)
{
    char text[SENTENCE];
    struct logs_state *s = api_state(c, sizeof *s, logs_state_clear);
    if (!read_target(c, &s->target) || !read_stream(c, s) ||
        !api_query_int(c, "lines", LINES, 1, LIMIT_LOG_LINES, &s->lines))
        return;
    const struct log_order order = {.host = s->target.host,
                                    .app = s->target.app,
                                    .instance = s->target.instance,
                                    .stream = s->stream ? s->stream : "out",
                                    .lines = s->lines};
    int r = logs_get(c->api->logs, &order, on_log, c, text, sizeof text);
    if (r < 0)
        api_fail(c, r, "%s", text);
}
