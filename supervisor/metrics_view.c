#include "supervisor/metrics_view.h"

#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/metrics.h"
#include "supervisor/supervisor.h"

static const char *const series[] = {"cpu", "memory", "tree_memory", "processes", "fds", "threads"};
enum { SERIES = sizeof series / sizeof series[0] };

static json_t *value_of(const struct history_sample *s, unsigned i)
{
    const uint64_t numbers[] = {0,      s->memory_bytes, s->tree_bytes, s->processes,
                                s->fds, s->threads};
    return i == 0 ? json_real(s->cpu_percent) : json_integer((json_int_t)numbers[i]);
}

/* The steps in (from, to], null where there is nothing. */
static json_t *view_history(const struct history *h, int64_t from, int64_t to)
{
    struct history_sample sample;
    json_t *j = json_object();
    for (unsigned i = 0; i < SERIES; i++) {
        json_t *values = json_array();
        for (int64_t step = from + 1; step <= to; step++)
            (void)json_array_append_new(values, history_get(h, step, &sample) ? value_of(&sample, i)
                                                                              : json_null());
        (void)json_object_set_new(j, series[i], values);
    }
    return j;
}

static void add_history(json_t *j, const struct instance *in, int64_t points)
{
    struct history h;
    struct history_sample sample;
    int64_t now = metrics_step(in->sup), from = now - points;
    if (!metrics_history(in, &h))
        return;
    /* The present step may not have been looked at yet. */
    if (!history_get(&h, now, &sample))
        now--;
    /* Before the first sample there is nothing to be told. */
    while (from < now && !history_get(&h, from + 1, &sample))
        from++;
    int64_t age_ms = (int64_t)uv_now(&in->sup->loop) - (from + 1) * HISTORY_STEP_MS;
    json_t *history = view_history(&h, from, now);
    json_set_int(history, "from_ms", loop_wall_ms() - age_ms);
    (void)json_object_set_new(j, "history", history);
}

json_t *metrics_view(struct instance *in, int64_t points)
{
    json_t *j = json_object();
    bool runs = in->process != NULL;
    json_set_string(j, "name", in->app->spec.name);
    json_set_int(j, "instance", in->number);
    json_set_int(j, "pm_id", in->pm_id);
    json_set_int(j, "pid", instance_pid(in));
    json_set_string(j, "status", instance_state_word(in->state));
    json_set_int(j, "restart_time", in->restarts);
    json_set_int(j, "uptime_ms", runs ? instance_uptime_ms(in) : 0);
    (void)json_object_set_new(j, "cpu", json_real(runs ? in->cpu_percent : 0));
    json_set_int(j, "memory", runs ? (int64_t)in->rss_bytes : 0);
    json_set_int(j, "tree_memory", (int64_t)metrics_tree_rss(in));
    json_set_int(j, "processes", runs ? in->usage.others + 1 : 0);
    json_set_int(j, "fds", runs ? in->usage.fds : 0);
    json_set_int(j, "threads", runs ? in->meter.threads : 0);
    if (points > 0)
        add_history(j, in, points);
    return j;
}
