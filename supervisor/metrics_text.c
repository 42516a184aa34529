#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/ipc.h"
#include "supervisor/metrics.h"
#include "supervisor/metrics_view.h"
#include "supervisor/supervisor.h"

/* Names and units as Prometheus has them: seconds, bytes, _total for what only rises.  "app_instance", since "instance" is
 * what Prometheus calls the host that it reads from. */

static bool up(const struct instance *in)
{
    return in->state == INSTANCE_ONLINE;
}

static double value_up(const struct instance *in)
{
    return up(in);
}

static double value_restarts(const struct instance *in)
{
    return in->restarts;
}

static double value_start(const struct instance *in)
{
    return (double)in->started_wall_ms / 1000;
}

static double value_cpu(const struct instance *in)
{
    return (double)in->meter.last_ticks / (double)sysconf(_SC_CLK_TCK);
}

static double value_memory(const struct instance *in)
{
    return (double)in->rss_bytes;
}

static double value_tree_memory(const struct instance *in)
{
    return (double)metrics_tree_rss(in);
}

static double value_processes(const struct instance *in)
{
    return in->usage.others + 1;
}

static double value_fds(const struct instance *in)
{
    return in->usage.fds;
}

static double value_threads(const struct instance *in)
{
    return in->meter.threads;
}

// clang-format off
static const struct family {
    const char *name;
    const char *type;
    const char *help;
    bool always; /* also of instances that do not run */
    double (*value)(const struct instance *in);
} families[] = {
    {"proctor_instance_up", "gauge", "Whether the instance is online.", true, value_up},
    {"proctor_instance_restarts_total", "counter", "How often the instance was started anew.", true, value_restarts},
    {"proctor_process_start_time_seconds", "gauge", "When the process was started, since 1970.", false, value_start},
    {"proctor_process_cpu_seconds_total", "counter", "CPU time of the process, user and system.", false, value_cpu},
    {"proctor_process_resident_memory_bytes", "gauge", "Memory of the process that is in RAM.", false, value_memory},
    {"proctor_process_open_fds", "gauge", "Descriptors that the process has open.", false, value_fds},
    {"proctor_process_threads", "gauge", "Threads of the process.", false, value_threads},
    {"proctor_tree_resident_memory_bytes", "gauge", "The same of the process and all that belong to it.", false, value_tree_memory},
    {"proctor_tree_processes", "gauge", "How many processes these are.", false, value_processes},
};
// clang-format on

/* ---- writing ----------------------------------------------------------------------------------- */

static int add_label(struct buf *out, const char *name, const char *value)
{
    int r = buf_addf(out, "%s=\"", name);
    for (const char *p = value; r == 0 && *p; p++) {
        if (*p == '\n')
            r = buf_addstr(out, "\\n");
        else if (*p == '"' || *p == '\\')
            r = buf_addf(out, "\\%c", *p);
        else
            r = buf_addc(out, *p);
    }
    return r < 0 ? r : buf_addc(out, '"');
}

/* `{app="web",app_instance="0"`, which the caller ends. */
static int begin_sample(struct buf *out, const char *name, const struct instance *in)
{
    int r = buf_addf(out, "%s{", name);
    if (r == 0)
        r = add_label(out, "app", in->app->spec.name);
    return r < 0 ? r : buf_addf(out, ",app_instance=\"%u\"", in->number);
}

static int head(struct buf *out, const char *name, const char *type, const char *help)
{
    return buf_addf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static int add_family(struct supervisor *sup, const struct family *f, struct buf *out)
{
    struct app *app;
    struct instance *in;
    int r = head(out, f->name, f->type, f->help);
    LIST_EACH(app, &sup->apps)
    LIST_EACH(in, &app->instances)
    {
        if (r < 0 || (!f->always && !in->process))
            continue;
        r = begin_sample(out, f->name, in);
        if (r == 0)
            r = buf_addf(out, "} %.15g\n", f->value(in));
    }
    return r;
}

/* Apps tell numbers also as strings; what is no number is left out. */
static bool to_number(const json_t *value, double *ret_number)
{
    char *end;
    if (json_is_number(value)) {
        *ret_number = json_number_value(value);
        return true;
    }
    const char *text = json_string_value(value);
    if (!text || !*text)
        return false;
    *ret_number = strtod(text, &end);
    return *end == '\0' && isfinite(*ret_number);
}

static int add_told(const struct instance *in, struct buf *out)
{
    AUTOJSON json_t *told = ipc_view(in);
    const char *name;
    json_t *metric;
    int r = 0;
    json_object_foreach(json_object_get(told, "metrics"), name, metric)
    {
        double number;
        if (r < 0 || !to_number(json_object_get(metric, "value"), &number))
            continue;
        r = begin_sample(out, "proctor_app_metric", in);
        if (r == 0)
            r = buf_addc(out, ',');
        if (r == 0)
            r = add_label(out, "metric", name);
        if (r == 0)
            r = buf_addc(out, ',');
        if (r == 0)
            r = add_label(out, "unit", json_get_string(metric, "unit", ""));
        if (r == 0)
            r = buf_addf(out, "} %.15g\n", number);
    }
    return r;
}

static int add_all_told(struct supervisor *sup, struct buf *out)
{
    struct app *app;
    struct instance *in;
    int r = head(out, "proctor_app_metric", "gauge",
                 "What apps tell of themselves on their IPC channel (axm:monitor).");
    LIST_EACH(app, &sup->apps)
    LIST_EACH(in, &app->instances)
    if (r == 0 && in->process)
        r = add_told(in, out);
    return r;
}

int metrics_text(struct supervisor *sup, struct buf *out)
{
    metrics_refresh(sup);
    int r = head(out, "proctor_build_info", "gauge", "1, with the version of the supervisor.");
    if (r == 0)
        r = buf_addstr(out, "proctor_build_info{version=\"" PROCTOR_VERSION "\"} 1\n");
    if (r == 0 && sup->keep.sock >= 0)
        r = head(out, "proctor_supervisor_starts_total", "counter",
                 "How many supervisors the keeper has started.");
    if (r == 0 && sup->keep.sock >= 0)
        r = buf_addf(out, "proctor_supervisor_starts_total %u\n", sup->keep.starts);
    for (size_t i = 0; r == 0 && i < ARRAY_SIZE(families); i++)
        r = add_family(sup, &families[i], out);
    return r < 0 ? r : add_all_told(sup, out);
}
