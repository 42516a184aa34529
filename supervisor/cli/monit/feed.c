#include "supervisor/cli/monit/feed.h"

#include <errno.h>
#include <stdlib.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/wire/msg.h"
#include "supervisor/cli/app_table.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/metrics_table.h"

enum { ANSWER_MS = 2000, POINTS = SPARK_MAX - 1 };

static feed_stop_cb stop_cb;

static void clear_rows(struct feed *f)
{
    for (size_t i = 0; i < f->count; i++) {
        free(f->rows[i].label);
        free(f->rows[i].status);
    }
    free(f->rows);
    f->rows = NULL;
    f->count = 0;
}

/* The history to the right end, and the present value behind it. */
static void fill(double to[SPARK_MAX], const json_t *values, double now)
{
    size_t count = json_array_size(values);
    for (size_t i = 0; i < POINTS; i++) {
        const json_t *value =
            i + count >= POINTS ? json_array_get(values, i + count - POINTS) : NULL;
        to[i] = json_is_number(value) ? json_number_value(value) : -1;
    }
    to[POINTS] = now;
}

static void read_row(struct feed_row *row, const json_t *process)
{
    const json_t *history = json_object_get(process, "history");
    row->label = app_label(process);
    row->status = xstrdup(json_get_string(process, "status", "?"));
    row->pm_id = json_get_int(process, "pm_id", 0);
    row->pid = json_get_int(process, "pid", 0);
    row->restarts = json_get_int(process, "restart_time", 0);
    row->uptime_ms = json_get_int(process, "uptime_ms", 0);
    row->cpu = json_get_number(process, "cpu", 0);
    row->memory = json_get_int(process, "memory", 0);
    row->tree_memory = json_get_int(process, "tree_memory", 0);
    row->processes = json_get_int(process, "processes", 0);
    row->fds = json_get_int(process, "fds", 0);
    row->threads = json_get_int(process, "threads", 0);
    fill(row->cpus, json_object_get(history, "cpu"), row->pid > 0 ? row->cpu : -1);
    fill(row->memories, json_object_get(history, "memory"),
         row->pid > 0 ? (double)row->memory : -1);
    row->cpu_most = metrics_peak(json_object_get(history, "cpu"), row->cpu);
    row->memory_most = metrics_peak(json_object_get(history, "memory"), (double)row->memory);
}

static void read_rows(struct feed *f, const json_t *processes)
{
    size_t count = json_array_size(processes);
    clear_rows(f);
    f->rows = xcalloc(count + 1, sizeof *f->rows);
    f->count = count;
    for (size_t i = 0; i < count; i++)
        read_row(&f->rows[i], json_array_get(processes, i));
}

static int on_interrupted(void *arg, const json_t *params)
{
    return !params && stop_cb() ? -ECANCELED : 0;
}

static int connect_now(struct feed *f)
{
    int r = connect_try(&f->client);
    if (r < 0)
        return r;
    /* We come again by ourselves, and show meanwhile that it is away. */
    f->client.retry_ms = f->client.nobody_ms = 1;
    f->client.silence_ms = f->client.limit_ms = ANSWER_MS;
    f->connected = true;
    return 0;
}

/* As much history as one answer holds for so many processes. */
static int ask(struct feed *f, size_t processes)
{
    AUTOMSG struct msg answer = {0};
    AUTOJSON json_t *params = json_object();
    size_t points = processes > 0 ? LIMIT_METRIC_POINTS / processes : 0;
    json_set_int(params, "points", points < POINTS ? (int64_t)points : POINTS);
    int r = client_call(&f->client, "app.metrics", params, on_interrupted, NULL, &answer);
    if (r == 0)
        read_rows(f, json_object_get(answer.result, "processes"));
    return r;
}

int feed_ask(struct feed *f, feed_stop_cb stop)
{
    size_t known = f->count;
    stop_cb = stop;
    f->error = f->connected ? 0 : connect_now(f);
    if (f->error < 0)
        return f->error;
    f->error = ask(f, known);
    /* Only now it is known how many they are. */
    if ((f->error == 0 && known == 0 && f->count > 0) || f->error == ERR_TOO_BIG)
        f->error = ask(f, f->error == 0 ? f->count : 0);
    if (f->error < 0) {
        client_close(&f->client);
        f->connected = false;
    }
    return f->error;
}

void feed_clear(struct feed *f)
{
    clear_rows(f);
    if (f->connected)
        client_close(&f->client);
    *f = (struct feed){0};
}
