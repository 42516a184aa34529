#include "lib/wire/channel.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

// clang-format off
#define REQUIRED WIRE_REQUIRED
#define OPTIONAL WIRE_OPTIONAL
#define FIELDS WIRE_FIELDS
#define ID          {"id", WIRE_UUID, REQUIRED, 36, 36}
#define NAME(n, when) {n, WIRE_STRING, when, 1, LIMIT_NAME}
#define TEXT(n, when) {n, WIRE_STRING, when, 0, 1000}
#define TIME(n, when) {n, WIRE_INT, when, 1, 1LL << 50}
#define BLOB        {"blob", WIRE_INT, REQUIRED, 1, 0xffffffffLL}
#define STORED(n)   {n, WIRE_INT, REQUIRED, 0, (long long)LIMIT_BLOB_STORED}
#define PEM(n)      {n, WIRE_STRING, REQUIRED, 1, 16384}
#define VERSIONS    {"min_version", WIRE_INT, REQUIRED, 1, 1 << 20}, {"max_version", WIRE_INT, REQUIRED, 1, 1 << 20}, \
                    {"capabilities", WIRE_STRINGS, REQUIRED, 0, 100}, NAME("release", REQUIRED)
#define AGENT   CHANNEL_AGENT
#define CONSOLE CHANNEL_CONSOLE
#define OPEN    CHANNEL_OPEN

static const struct channel_type types[] = {
    {"hello", AGENT, CHANNEL_HELLO, FIELDS(VERSIONS, ID, NAME("hostname", REQUIRED), NAME("os", OPTIONAL), NAME("arch", OPTIONAL))},
    {"hello", CONSOLE, CHANNEL_HELLO, FIELDS(VERSIONS, {"version", WIRE_INT, REQUIRED, 1, 1 << 20}, NAME("host", REQUIRED), NAME("name", OPTIONAL), TIME("now_ms", REQUIRED))},
    {"bye", AGENT | CONSOLE, CHANNEL_HELLO | OPEN, FIELDS(NAME("code", REQUIRED), TEXT("text", REQUIRED))},
    {"ping", AGENT | CONSOLE, OPEN, FIELDS()},
    {"pong", AGENT | CONSOLE, OPEN, FIELDS()},

    {"processes", AGENT, OPEN, FIELDS(TIME("at_ms", REQUIRED), {"processes", WIRE_ARRAY, REQUIRED, 0, LIMIT_INSTANCES}, {"left_out", WIRE_INT, OPTIONAL, 1, 1 << 30})},

    {"capture.start", CONSOLE, OPEN,
     FIELDS(ID, NAME("kind", REQUIRED), NAME("app", REQUIRED), {"instance", WIRE_INT, REQUIRED, 0, LIMIT_INSTANCES},
            {"pid", WIRE_INT, OPTIONAL, 1, 1 << 30}, {"duration_ms", WIRE_INT, OPTIONAL, 1, 1LL << 40},
            {"interval_us", WIRE_INT, OPTIONAL, 50, 10000000}, {"interval_bytes", WIRE_INT, OPTIONAL, 1024, 1LL << 30},
            TIME("not_after_ms", REQUIRED), NAME("requester", OPTIONAL), {"role", WIRE_STRING, REQUIRED, 1, 16})},
    {"capture.stop", CONSOLE, OPEN, FIELDS(ID)},
    {"capture.cancel", CONSOLE, OPEN, FIELDS(ID)},
    {"capture.get", CONSOLE, OPEN, FIELDS(ID)},
    {"capture", AGENT, OPEN, FIELDS({"record", WIRE_OBJECT, REQUIRED, 1, 100})},
    {"capture.unknown", AGENT, OPEN, FIELDS(ID, NAME("code", REQUIRED), TEXT("text", REQUIRED))},
    {"capture.ack", CONSOLE, OPEN, FIELDS(ID)},

    {"blob.begin", AGENT, OPEN, FIELDS(BLOB, ID, STORED("stored_bytes"), {"stored_sha256", WIRE_STRING, REQUIRED, 64, 64})},
    {"blob.go", CONSOLE, OPEN, FIELDS(BLOB, STORED("offset"))},
    {"blob.ack", CONSOLE, OPEN, FIELDS(BLOB, STORED("offset"))},
    {"blob.end", AGENT, OPEN,
     FIELDS(BLOB, STORED("stored_bytes"), {"bytes", WIRE_INT, REQUIRED, 0, (long long)LIMIT_RESULT},
            {"sha256", WIRE_STRING, REQUIRED, 64, 64}, {"stored_sha256", WIRE_STRING, REQUIRED, 64, 64})},
    {"blob.done", CONSOLE, OPEN, FIELDS(BLOB)},
    {"blob.refused", CONSOLE, OPEN, FIELDS(BLOB, NAME("code", REQUIRED), TEXT("text", REQUIRED), {"retry_ms", WIRE_INT, OPTIONAL, 0, 1 << 30})},

    {"renew", AGENT, OPEN, FIELDS(PEM("csr"))},
    {"renewed", CONSOLE, OPEN, FIELDS(PEM("certificate"))},
    {"unlink", AGENT, OPEN, FIELDS()},

    {"log.get", CONSOLE, OPEN,
     FIELDS(ID, NAME("app", REQUIRED), {"instance", WIRE_INT, REQUIRED, 0, LIMIT_INSTANCES},
            {"stream", WIRE_STRING, REQUIRED, 3, 3}, {"lines", WIRE_INT, REQUIRED, 1, LIMIT_LOG_LINES})},
    {"log", AGENT, OPEN, FIELDS(ID, {"text", WIRE_STRING, REQUIRED, 0, LIMIT_LOG_TEXT}, TIME("at_ms", REQUIRED), {"cut", WIRE_BOOL, REQUIRED, 0, 0})},
    {"log.refused", AGENT, OPEN, FIELDS(ID, NAME("code", REQUIRED), TEXT("text", REQUIRED))},
};
// clang-format on

const struct channel_type *channel_type_at(size_t i)
{
    return i < ARRAY_SIZE(types) ? &types[i] : NULL;
}

static const struct channel_type *find(const char *name, enum channel_from from)
{
    for (size_t i = 0; i < ARRAY_SIZE(types); i++)
        if ((types[i].from & from) && str_eq(types[i].name, name))
            return &types[i];
    return NULL;
}

static int check(const json_t *message, enum channel_from from, enum channel_phase phase,
                 const struct channel_type **ret_type, char *reterr_text, size_t size)
{
    const char *name = json_get_string(message, "type", NULL);
    if (!name) {
        (void)snprintf(reterr_text, size, "a message has no \"type\"");
        return ERR_PROTOCOL;
    }
    const struct channel_type *type = find(name, from);
    if (!type || !(type->phases & phase)) {
        (void)snprintf(reterr_text, size, "message %.40s is %s", name,
                       type ? "not allowed now" : "unknown");
        return ERR_PROTOCOL;
    }
    *ret_type = type;
    return wire_fields_check(type->name, type->fields, message, reterr_text, size);
}

int channel_parse(const char *text, size_t len, enum channel_from from, enum channel_phase phase,
                  const struct channel_type **ret_type, json_t **ret_message, char *reterr_text,
                  size_t size)
{
    if (len > LIMIT_CHANNEL_MESSAGE) {
        (void)snprintf(reterr_text, size, "a message of %zu bytes is longer than one may be", len);
        return ERR_TOO_BIG;
    }
    AUTOJSON json_t *message = json_object_parse(text, len);
    if (!message) {
        (void)snprintf(reterr_text, size, "a message is no JSON object");
        return ERR_SYNTAX;
    }
    const struct channel_type *type = NULL;
    int r = check(message, from, phase, &type, reterr_text, size);
    if (r < 0)
        return r;
    *ret_type = type;
    *ret_message = TAKE(message);
    return 0;
}

int channel_add(struct buf *out, const char *name, json_t *fields)
{
    AUTOJSON json_t *message = json_object();
    json_set_string(message, "type", name);
    if (fields)
        (void)json_object_update(message, fields);
    AUTOBUF struct buf text = BUF_INIT(LIMIT_CHANNEL_MESSAGE);
    int r = json_to_buf(message, &text);
    return r < 0 ? r : buf_add(out, text.data, text.len);
}

int channel_choose_version(long long min, long long max)
{
    long long low = min > CHANNEL_VERSION_MIN ? min : CHANNEL_VERSION_MIN;
    long long high = max < CHANNEL_VERSION ? max : CHANNEL_VERSION;
    return high >= low ? (int)high : 0;
}
