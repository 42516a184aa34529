#include "lib/wire/method.h"

#include <stdbool.h>
#include <stdio.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"

// clang-format off
#define REQUIRED WIRE_REQUIRED
#define OPTIONAL WIRE_OPTIONAL
#define FIELDS WIRE_FIELDS
#define TARGETS  {"targets", WIRE_STRINGS, REQUIRED, 1, LIMIT_APPS}
#define ENV(when) {"env", WIRE_OBJECT, when, 0, LIMIT_LIST}
#define ID       {"id", WIRE_UUID, REQUIRED, 36, 36}
#define NAME(n, when) {n, WIRE_STRING, when, 1, LIMIT_NAME}
#define PHASE    {"phase", WIRE_STRING, REQUIRED, 1, 16}
#define INSTANCE {"instance", WIRE_INT, OPTIONAL, 0, LIMIT_INSTANCES}
#define PID(when) {"pid", WIRE_INT, when, 1, 1 << 30}
#define DURATION {"duration_ms", WIRE_INT, OPTIONAL, 1, 1LL << 40}
/* cpu: microseconds between samples; heap: bytes between samples */
#define INTERVALS {"interval_us", WIRE_INT, OPTIONAL, 50, 10000000}, {"interval_bytes", WIRE_INT, OPTIONAL, 1024, 1LL << 30}

#define BOTH_WAYS (WIRE_CLI_TO_SUPERVISOR | WIRE_SUPERVISOR_TO_AGENT)

static const struct wire_method methods[] = {
    /* the first message both ways, on every connection */
    {"hello", ~0u, FIELDS({"version", WIRE_INT, REQUIRED, 1, 1 << 20}, NAME("program", OPTIONAL)), 0},
    /* answers to requests, on every connection */
    {"progress", ~0u, FIELDS({"id", WIRE_STRING, REQUIRED, 1, LIMIT_NAME}), 0},

    /* from a supervisor that was started anew, on a connection that outlived the one before it */
    {"restarted", WIRE_SUPERVISOR_TO_AGENT | WIRE_SUPERVISOR_TO_PROBE, FIELDS(), 0},

    {"ping", WIRE_CLI_TO_SUPERVISOR, FIELDS(), 0},
    {"app.apply", WIRE_CLI_TO_SUPERVISOR,
     FIELDS({"apps", WIRE_ARRAY, REQUIRED, 1, LIMIT_APPS}, ENV(REQUIRED), {"update_env", WIRE_BOOL, OPTIONAL, 0, 0}), 0},
    {"app.start", WIRE_CLI_TO_SUPERVISOR, FIELDS(TARGETS, ENV(OPTIONAL)), 0},
    {"app.stop", WIRE_CLI_TO_SUPERVISOR, FIELDS(TARGETS), 0},
    {"app.restart", WIRE_CLI_TO_SUPERVISOR, FIELDS(TARGETS, ENV(OPTIONAL)), 0},
    {"app.reload", WIRE_CLI_TO_SUPERVISOR, FIELDS(TARGETS, ENV(OPTIONAL)), 0},
    {"app.delete", WIRE_CLI_TO_SUPERVISOR, FIELDS(TARGETS), 0},
    {"app.list", WIRE_CLI_TO_SUPERVISOR,
     FIELDS({"targets", WIRE_STRINGS, OPTIONAL, 0, LIMIT_APPS}, {"detail", WIRE_BOOL, OPTIONAL, 0, 0},
            {"show_env", WIRE_BOOL, OPTIONAL, 0, 0}), 0},
    {"app.why", WIRE_CLI_TO_SUPERVISOR, FIELDS({"targets", WIRE_STRINGS, OPTIONAL, 0, LIMIT_APPS}), 0},
    {"app.reset", WIRE_CLI_TO_SUPERVISOR, FIELDS(TARGETS), 0},
    {"app.signal", WIRE_CLI_TO_SUPERVISOR,
     FIELDS(TARGETS, {"signal", WIRE_INT, REQUIRED, 1, 64}, {"force", WIRE_BOOL, OPTIONAL, 0, 0}), 0},
    {"app.scale", WIRE_CLI_TO_SUPERVISOR,
     FIELDS(NAME("app", REQUIRED), {"instances", WIRE_INT, OPTIONAL, 1, LIMIT_INSTANCES},
            {"by", WIRE_INT, OPTIONAL, -(long long)LIMIT_INSTANCES, LIMIT_INSTANCES}), 0},
    {"app.metrics", WIRE_CLI_TO_SUPERVISOR,
     FIELDS({"targets", WIRE_STRINGS, OPTIONAL, 0, LIMIT_APPS}, {"points", WIRE_INT, OPTIONAL, 0, 360},
            {"prometheus", WIRE_BOOL, OPTIONAL, 0, 0}), 0},
    {"app.trigger", WIRE_CLI_TO_SUPERVISOR,
     FIELDS(TARGETS, NAME("action", REQUIRED), {"param", WIRE_STRING, OPTIONAL, 0, LIMIT_IPC_SEND / 2},
            {"timeout_ms", WIRE_INT, REQUIRED, 1, LIMIT_TRIGGER_MS}), 0},
    {"log.flush", WIRE_CLI_TO_SUPERVISOR, FIELDS({"targets", WIRE_STRINGS, OPTIONAL, 0, LIMIT_APPS}), 0},
    {"log.reopen", WIRE_CLI_TO_SUPERVISOR, FIELDS(), 0},
    {"daemon.kill", WIRE_CLI_TO_SUPERVISOR, FIELDS(), 0},
    {"daemon.upgrade", WIRE_CLI_TO_SUPERVISOR, FIELDS(), 0},

    {"capture.start", BOTH_WAYS,
     FIELDS(ID, NAME("kind", REQUIRED), NAME("app", REQUIRED), INSTANCE, PID(OPTIONAL), DURATION, INTERVALS,
            {"not_after_ms", WIRE_INT, REQUIRED, 1, 1LL << 50}, NAME("requester", OPTIONAL)), 0},
    {"capture.stop", BOTH_WAYS, FIELDS(ID), 0},
    {"capture.cancel", BOTH_WAYS, FIELDS(ID), 0},
    {"capture.list", BOTH_WAYS, FIELDS(), 0},
    {"capture.get", BOTH_WAYS, FIELDS(ID), 0},
    {"link.set", BOTH_WAYS, FIELDS({"token", WIRE_STRING, REQUIRED, 1, 512}), 0},
    {"link.status", BOTH_WAYS, FIELDS(), 0},
    {"link.remove", BOTH_WAYS, FIELDS(), 0},

    {"host.list", WIRE_AGENT_TO_SUPERVISOR, FIELDS(), 0},
    {"log.tail", WIRE_AGENT_TO_SUPERVISOR,
     FIELDS(NAME("app", REQUIRED), INSTANCE, {"stream", WIRE_STRING, REQUIRED, 3, 3},
            {"lines", WIRE_INT, REQUIRED, 1, LIMIT_LOG_LINES}), 0},
    {"probe.start", WIRE_AGENT_TO_SUPERVISOR,
     FIELDS(ID, NAME("kind", REQUIRED), NAME("app", REQUIRED), INSTANCE, PID(OPTIONAL), DURATION, INTERVALS,
            {"role", WIRE_STRING, OPTIONAL, 1, 16}), 1},
    {"probe.stop", WIRE_AGENT_TO_SUPERVISOR, FIELDS(ID), 0},
    {"probe.cancel", WIRE_AGENT_TO_SUPERVISOR, FIELDS(ID), 0},
    {"probe.ack", WIRE_AGENT_TO_SUPERVISOR, FIELDS(ID), 0},

    {"begin", WIRE_SUPERVISOR_TO_PROBE,
     FIELDS(NAME("kind", REQUIRED), PID(REQUIRED), {"port", WIRE_INT, REQUIRED, 1, 65535}, {"path", WIRE_STRING, REQUIRED, 1, LIMIT_NAME},
            {"node_major", WIRE_INT, REQUIRED, 8, 1000}, DURATION, INTERVALS, {"close", WIRE_BOOL, REQUIRED, 0, 0}), 0},
    {"stop", WIRE_SUPERVISOR_TO_PROBE, FIELDS(NAME("reason", OPTIONAL)), 0},
    {"cancel", WIRE_SUPERVISOR_TO_PROBE, FIELDS(), 0},
    {"leave_open", WIRE_SUPERVISOR_TO_PROBE, FIELDS(), 0},
    {"phase", WIRE_PROBE_TO_SUPERVISOR, FIELDS(PHASE), 0},
    {"end", WIRE_PROBE_TO_SUPERVISOR,
     FIELDS({"state", WIRE_STRING, REQUIRED, 1, 16}, PHASE, {"bytes", WIRE_INT, OPTIONAL, 0, 1LL << 50},
            {"start_pause_us", WIRE_INT, OPTIONAL, 0, 1LL << 50}, {"measured_us", WIRE_INT, OPTIONAL, 0, 1LL << 50},
            {"loop_blocked", WIRE_BOOL, OPTIONAL, 0, 0}, NAME("error", OPTIONAL), {"message", WIRE_STRING, OPTIONAL, 0, 1000}, NAME("reason", OPTIONAL)), 0},
};
// clang-format on

const struct wire_method *wire_method_find(const char *name, enum wire_from from)
{
    for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
        if ((methods[i].from & from) && str_eq(methods[i].name, name))
            return &methods[i];
    return NULL;
}

static bool in_range(const struct wire_field *f, long long value)
{
    return value >= f->min && value <= f->max;
}

static bool all_strings(const json_t *array)
{
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item) if (!json_is_string(item)) return false;
    return true;
}

static bool field_fits(const struct wire_field *f, const json_t *value)
{
    switch (f->type) {
    case WIRE_STRING:
        return json_is_string(value) && in_range(f, (long long)json_string_length(value));
    case WIRE_UUID:
        return json_is_string(value) && uuid_valid_v7(json_string_value(value));
    case WIRE_INT:
        return json_is_integer(value) && in_range(f, json_integer_value(value));
    case WIRE_BOOL:
        return json_is_boolean(value);
    case WIRE_OBJECT:
        return json_is_object(value) && in_range(f, (long long)json_object_size(value));
    case WIRE_ARRAY:
        return json_is_array(value) && in_range(f, (long long)json_array_size(value));
    case WIRE_STRINGS:
        return json_is_array(value) && in_range(f, (long long)json_array_size(value)) &&
               all_strings(value);
    }
    return false;
}

static const char *type_text(enum wire_type type)
{
    switch (type) {
    case WIRE_STRING:
        return "a string of length";
    case WIRE_UUID:
        return "a UUID of version 7, of length";
    case WIRE_INT:
        return "an integer from";
    case WIRE_BOOL:
        return "true or false";
    case WIRE_OBJECT:
        return "an object with members from";
    case WIRE_ARRAY:
        return "an array of length";
    case WIRE_STRINGS:
        return "an array of strings of length";
    }
    return "something else";
}

int wire_method_check(const struct wire_method *m, const json_t *params, char *reterr_text,
                      size_t size)
{
    return wire_fields_check(m->name, m->fields, params, reterr_text, size);
}

int wire_fields_check(const char *name, const struct wire_field *fields, const json_t *params,
                      char *reterr_text, size_t size)
{
    for (const struct wire_field *f = fields; f->name; f++) {
        const json_t *value = json_object_get(params, f->name);
        if (!value && !f->required)
            continue;
        if (value && field_fits(f, value))
            continue;
        if (!value)
            (void)snprintf(reterr_text, size, "%s: field \"%s\" is missing", name, f->name);
        else if (f->type == WIRE_BOOL)
            (void)snprintf(reterr_text, size, "%s: field \"%s\" must be %s", name, f->name,
                           type_text(f->type));
        else
            (void)snprintf(reterr_text, size, "%s: field \"%s\" must be %s %lld to %lld", name,
                           f->name, type_text(f->type), f->min, f->max);
        return ERR_INVALID;
    }
    return 0;
}
