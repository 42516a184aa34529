#include "supervisor/cli/capture_report.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/wire/msg.h"
#include "supervisor/cli/capture_save.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/text.h"

char *capture_label(const json_t *record)
{
    return xasprintf("%s-%lld", json_get_string(record, "app", "?"),
                     (long long)json_get_int(record, "instance", 0));
}

const char *capture_reason_text(const json_t *record)
{
    const char *reason = json_get_string(record, "reason", NULL);
    if (str_eq(reason, "app_exit"))
        return "the app ended during the capture";
    if (str_eq(reason, "app_stop"))
        return "the app was stopped during the capture";
    if (str_eq(reason, "requested"))
        return "it was stopped early";
    return reason;
}

/* ---- failures -------------------------------------------------------------------------------- */

static int say_refused(const char *label, int r, const struct msg *answer)
{
    say_error("%s: %s [%s]", label, say_reason(r, answer), err_name(r));
    return say_exit_code(r);
}

/* A capture that ended without a result. */
static int say_failed(const char *label, const json_t *record)
{
    const json_t *error = json_object_get(record, "error");
    const char *state = json_get_string(record, "state", "failed");
    const char *name = json_get_string(error, "name", "FAILED");
    int r = err_from_name(name);
    if (str_eq(state, "cancelled"))
        say_error("%s: the capture was cancelled, nothing is kept", label);
    else
        say_error("%s: the capture %s in phase %s: %s [%s]", label, state,
                  json_get_string(record, "phase", "open"),
                  json_get_string(error, "message", err_str(r)), name);
    return r == ERR_POLICY ? CMD_POLICY : CMD_FAILED;
}

/* ---- results --------------------------------------------------------------------------------- */

static void say_warnings(const char *label, const json_t *record)
{
    size_t i;
    json_t *warning;
    json_array_foreach(json_object_get(record, "warnings"), i, warning)
    {
        const char *name = json_string_value(warning);
        if (str_eq(name, "port_left_open"))
            say_note("warning: %s: the inspector's port of this process is still open on "
                     "127.0.0.1, because "
                     "another debugger is attached or it could not be closed; local users may "
                     "reach it until "
                     "the app is restarted",
                     label);
        else
            say_note("warning: %s: %s", label, name ? name : "?");
    }
}

/* "1.2M, 10.0 s measured, the start held the app for 3.1 ms" */
static char *figures(const json_t *record, int64_t bytes)
{
    char size[TEXT_SHORT], measured[TEXT_SHORT], pause[TEXT_SHORT];
    int64_t measured_us = json_get_int(record, "measured_us", -1);
    int64_t pause_us = json_get_int(record, "start_pause_us", -1);
    (void)text_bytes(bytes, size);
    (void)text_seconds(measured_us / 1000, measured);
    (void)text_micros(pause_us, pause);
    return xasprintf("%s%s%s%s%s%s", size, measured_us >= 0 ? ", " : "",
                     measured_us >= 0 ? measured : "", measured_us >= 0 ? " measured" : "",
                     pause_us >= 0 ? ", the start held the app for " : "",
                     pause_us >= 0 ? pause : "");
}

static void say_result(const struct capture_report *report, const char *label, const json_t *record,
                       const char *path, int64_t bytes)
{
    bool piped = str_eq(path, "-");
    FILE *out = piped ? stderr : stdout;
    bool partial = str_eq(json_get_string(record, "state", ""), "partial");
    const char *reason = capture_reason_text(record);
    AUTOFREE char *numbers = figures(record, bytes);
    AUTOFREE char *line = xasprintf(
        "%s: %s%s profile %s%s (%s)%s%s", label, partial ? "partial " : "",
        json_get_string(record, "kind", "?"), piped ? "on standard output" : "in ",
        piped ? "" : path, numbers, partial && reason ? ": " : "", partial && reason ? reason : "");
    text_make_safe(line);
    (void)fprintf(out, "%s\n", line);
    (void)fflush(out);
}

static void add_json(const struct capture_report *report, const json_t *record, const char *path)
{
    json_t *copy = json_copy((json_t *)record);
    json_set_string(copy, "file", path);
    (void)json_array_append_new(report->json, copy);
}

static int save(struct capture_report *report, const char *label, const json_t *record, int fd)
{
    AUTOFREE char *path = capture_path(report->wanted, record, report->epoch_ms);
    int64_t bytes = capture_save(fd, path);
    if (bytes < 0) {
        say_error(
            "%s: cannot write %s: %s; the result is kept, 'proctor captures get %s%s' brings it",
            label, path, bytes == -ELOOP ? "it is a link to no file" : err_str((int)bytes),
            json_get_string(record, "id", "ID"), report->more ? report->more : "");
        if (report->json)
            add_json(report, record, NULL);
        return CMD_FAILED;
    }
    if (report->json)
        add_json(report, record, path);
    else
        say_result(report, label, record, path, bytes);
    say_warnings(label, record);
    free(report->last_file);
    report->last_file = TAKE(path);
    return CMD_DONE;
}

int capture_report(struct capture_report *report, const char *label, int r, struct msg *answer)
{
    if (r < 0)
        return say_refused(label, r, answer);
    const json_t *record = json_object_get(answer->result, "record");
    AUTOCLOSE int fd = msg_take_fd(answer);
    const char *state = json_get_string(record, "state", "");
    bool has_result = str_eq(state, "done") || str_eq(state, "partial");
    if (has_result && fd >= 0)
        return save(report, label, record, fd);
    if (report->json)
        add_json(report, record, NULL);
    if (str_eq(state, "queued") || str_eq(state, "running")) {
        say_error("%s: the capture is still running", label);
        return CMD_FAILED;
    }
    if (has_result) {
        say_error("%s: the result is no longer kept", label);
        return CMD_FAILED;
    }
    return say_failed(label, record);
}
