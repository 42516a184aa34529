/* dispatch_view.c -- a capture as the API and the live updates show it. */
#include <stdio.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/json.h"
#include "remote/capture_state.h"
#include "remote/dispatch.h"
#include "remote/foreign.h"

/* Absent in the record, null in the view. */
static void or_null(json_t *j, const char *name)
{
    if (!json_object_get(j, name))
        (void)json_object_set_new(j, name, json_null());
}

static void set_identity(json_t *j, const struct capture_row *row)
{
    json_set_string(j, "id", row->id);
    json_set_string(j, "order", row->request);
    json_set_string(j, "host", row->host);
    json_set_string(j, "host_name", row->host_name);
    json_set_string(j, "kind", row->kind);
    json_set_string(j, "app", row->app);
    json_set_int(j, "instance", row->instance);
    json_set_string(j, "requester", row->requester);
    json_set_time(j, "duration_ms", row->duration_ms);
    if (row->pid && !json_object_get(j, "pid"))
        json_set_int(j, "pid", row->pid);
    if (row->interval_us && !json_object_get(j, "interval_us"))
        json_set_int(j, "interval_us", row->interval_us);
    if (row->interval_bytes && !json_object_get(j, "interval_bytes"))
        json_set_int(j, "interval_bytes", row->interval_bytes);
    or_null(j, "pid");
}

/* Also what the host cannot know: that the result was here and is not any more. */
static void set_warnings(json_t *j, const struct capture_row *row)
{
    json_t *warnings = json_object_get(j, "warnings");
    if (!warnings) {
        warnings = json_array();
        (void)json_object_set_new(j, "warnings", warnings);
    }
    bool removed = row->was_stored && !row->has_profile;
    if (removed && !foreign_has(warnings, "result_removed"))
        (void)json_array_append_new(warnings, json_string("result_removed"));
}

static void set_course(json_t *j, const struct capture_row *row)
{
    json_set_string(j, "state", row->state);
    or_null(j, "phase");
    or_null(j, "error");
    if (!json_object_get(j, "phases"))
        (void)json_object_set_new(j, "phases", json_array());
    set_warnings(j, row);
    json_set_int(j, "created_ms", row->created_ms);
    json_set_int(j, "not_after_ms", row->not_after_ms);
    json_set_time(j, "sent_ms", row->sent_ms);
    json_set_time(j, "ended_ms", row->ended_ms);
    json_set_bool(j, "stop_wanted", row->stop_wanted);
    json_set_bool(j, "cancel_wanted", row->cancel_wanted);
    json_set_bool(j, "given_up", row->given_up);
    (void)json_object_set_new(j, "profile", row->has_profile ? json_string(row->id) : json_null());
}

static void set_waiting(json_t *j, const struct capture_row *row)
{
    char text[LIMIT_NAME + 160];
    enum capture_standing standing = capture_standing(row);
    if (standing == STANDING_WAITING)
        (void)snprintf(text, sizeof text, "waits for the host %s to be connected", row->host_name);
    else if (standing == STANDING_GIVEN && !row->record)
        (void)snprintf(text, sizeof text, "waits for the host %s to say that it has it",
                       row->host_name);
    else if (standing == STANDING_OWED)
        (void)snprintf(text, sizeof text, "waits for the host %s to bring the result",
                       row->host_name);
    else
        return;
    json_set_string(j, "waiting", text);
}

json_t *capture_view(const struct capture_row *row)
{
    /* The host's record first: what the console knows itself counts more. */
    json_t *j = capture_facts(row);
    if (!j)
        j = json_object();
    set_identity(j, row);
    set_course(j, row);
    set_waiting(j, row);
    return j;
}

void capture_describe(const struct capture_list *rows, char *out, size_t size)
{
    enum { DESCRIPTION = 800 };
    AUTOBUF struct buf text = BUF_INIT(DESCRIPTION);
    const struct capture_row *first = &rows->rows[0];
    int r = buf_addf(&text, "%s of", first->kind);
    for (size_t i = 0; r == 0 && i < rows->count; i++)
        r = buf_addf(&text, "%s %s-%lld on %s", i ? "," : "", rows->rows[i].app,
                     (long long)rows->rows[i].instance, rows->rows[i].host_name);
    (void)snprintf(out, size, "%s%s (order %s)", buf_str(&text), r < 0 ? " …" : "", first->request);
}
