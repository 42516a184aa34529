/* dispatch_view.c -- a capture as the API and the live updates show it. */
#include <stdio.h>
#include <string.h>

#include "lib/base/json.h"
#include "remote/capture_state.h"
#include "remote/dispatch.h"

/* The host's record first: what the console knows itself counts more. */
static json_t *facts_of(const struct capture_row *row)
{
    json_t *facts = row->record ? json_object_parse(row->record, strlen(row->record)) : NULL;
    return facts ? facts : json_object();
}

static void set_time(json_t *j, const char *name, int64_t at_ms)
{
    (void)json_object_set_new(j, name, at_ms ? json_integer(at_ms) : json_null());
}

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
    set_time(j, "duration_ms", row->duration_ms);
    if (row->pid && !json_object_get(j, "pid"))
        json_set_int(j, "pid", row->pid);
    if (row->interval_us && !json_object_get(j, "interval_us"))
        json_set_int(j, "interval_us", row->interval_us);
    if (row->interval_bytes && !json_object_get(j, "interval_bytes"))
        json_set_int(j, "interval_bytes", row->interval_bytes);
    or_null(j, "pid");
}

static void set_course(json_t *j, const struct capture_row *row)
{
    json_set_string(j, "state", row->state);
    or_null(j, "phase");
    or_null(j, "error");
    if (!json_object_get(j, "phases"))
        (void)json_object_set_new(j, "phases", json_array());
    if (!json_object_get(j, "warnings"))
        (void)json_object_set_new(j, "warnings", json_array());
    json_set_int(j, "created_ms", row->created_ms);
    json_set_int(j, "not_after_ms", row->not_after_ms);
    set_time(j, "sent_ms", row->sent_ms);
    set_time(j, "ended_ms", row->ended_ms);
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
    json_t *j = facts_of(row);
    set_identity(j, row);
    set_course(j, row);
    set_waiting(j, row);
    return j;
}
