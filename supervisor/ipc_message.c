#include "supervisor/ipc_message.h"

#include <math.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/jscan.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

enum ipc_where { IPC_TEXT, IPC_CMD, IPC_TYPE };

/* A longer word is none of ours. */
enum { WORD_BYTES = 64 };

static const struct {
    enum ipc_kind kind;
    enum ipc_where where;
    const char *word;
} kinds[] = {
#define X(kind, where, word) {kind, where, word},
    IPC_KIND_LIST(X)
#undef X
};

/* "NODE_*" stands for all that begin so. */
static bool word_fits(const char *pattern, const char *word)
{
    size_t fixed = strcspn(pattern, "*");
    return pattern[fixed] ? strncmp(pattern, word, fixed) == 0 : str_eq(pattern, word);
}

static enum ipc_kind find_kind(enum ipc_where where, const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (kinds[i].where == where && word_fits(kinds[i].word, word))
            return kinds[i].kind;
    return IPC_OTHER;
}

/* The kind that the scanner's last string stands for in this place. */
static enum ipc_kind kind_of_string(const struct jscan *s, enum ipc_where where)
{
    AUTOBUF struct buf word = BUF_INIT(WORD_BYTES);
    if (jscan_string(s, &word) < 0)
        return IPC_OTHER;
    return find_kind(where, buf_str(&word));
}

/* The scanner stands behind a key of the outermost object; the value is passed over. */
static bool read_member(struct jscan *s, enum ipc_kind *kind)
{
    bool is_cmd = jscan_is(s, "cmd"), is_type = jscan_is(s, "type");
    if (!is_cmd && !is_type)
        return jscan_skip(s);
    struct jscan value = *s;
    if (!jscan_skip(s))
        return false;
    enum ipc_kind found = IPC_OTHER;
    if (jscan_next(&value) == JSCAN_STRING)
        found = kind_of_string(&value, is_cmd ? IPC_CMD : IPC_TYPE);
    if (found < *kind)
        *kind = found;
    return true;
}

enum ipc_kind ipc_message_kind(const char *line, size_t len)
{
    struct jscan s;
    enum ipc_kind kind = IPC_OTHER;
    jscan_init(&s, line, len, LIMIT_JSON_DEPTH);
    enum jscan_token t = jscan_next(&s);
    bool is_object = t == JSCAN_OBJECT;
    if (t == JSCAN_STRING)
        kind = kind_of_string(&s, IPC_TEXT);
    while ((t = jscan_next(&s)) != JSCAN_END) {
        if (t == JSCAN_ERROR)
            return s.error == JSCAN_TOO_DEEP ? IPC_OTHER : IPC_BAD;
        if (is_object && s.depth == 1 && t == JSCAN_KEY && !read_member(&s, &kind))
            return s.error == JSCAN_TOO_DEEP ? IPC_OTHER : IPC_BAD;
    }
    return kind;
}

json_t *ipc_message_data(const char *line, size_t len, enum ipc_kind kind)
{
    if (kind != IPC_REPLY && len > LIMIT_IPC_FACTS)
        return NULL;
    AUTOJSON json_t *message = json_object_parse(line, len);
    json_t *data = json_object_get(message, "data");
    return json_is_object(data) ? json_incref(data) : NULL;
}

/* ---- what is kept ---------------------------------------------------------------------------- */

static json_t *member(json_t *facts, const char *key, json_t *fresh)
{
    json_t *j = json_object_get(facts, key);
    if (!j)
        (void)json_object_set(facts, key, fresh);
    json_decref(fresh);
    return json_object_get(facts, key);
}

static bool name_fits(const char *name)
{
    return name && *name && strlen(name) < LIMIT_NAME;
}

/* A copy of a short string or a number; NULL for anything else. */
static json_t *small_value(const json_t *value)
{
    if (json_is_string(value) && json_string_length(value) < LIMIT_NAME)
        return json_copy((json_t *)value);
    if (json_is_integer(value) || json_is_boolean(value) ||
        (json_is_real(value) && isfinite(json_real_value(value))))
        return json_copy((json_t *)value);
    return NULL;
}

static void copy_small(json_t *to, const json_t *from, const char *key)
{
    json_t *value = small_value(json_object_get(from, key));
    if (value)
        (void)json_object_set_new(to, key, value);
}

void ipc_facts_monitor(json_t *facts, const json_t *data)
{
    json_t *metrics = member(facts, "metrics", json_object());
    const char *name;
    json_t *told;
    json_object_foreach((json_t *)data, name, told)
    {
        bool known = json_object_get(metrics, name) != NULL;
        if (!name_fits(name) || (!known && json_object_size(metrics) >= LIMIT_IPC_METRICS))
            continue;
        json_t *metric = json_object();
        copy_small(metric, told, "value");
        copy_small(metric, told, "unit");
        copy_small(metric, told, "type");
        if (json_object_get(metric, "value"))
            (void)json_object_set(metrics, name, metric);
        json_decref(metric);
    }
}

bool ipc_facts_has_action(const json_t *facts, const char *name)
{
    size_t i;
    json_t *known;
    json_t *actions = json_object_get(facts, "actions");
    json_array_foreach(actions, i, known) if (str_eq(json_string_value(known), name)) return true;
    return false;
}

bool ipc_facts_action(json_t *facts, const json_t *data)
{
    const char *name = json_get_string(data, "action_name", NULL);
    json_t *actions = member(facts, "actions", json_array());
    if (!name_fits(name) || json_array_size(actions) >= LIMIT_IPC_ACTIONS ||
        ipc_facts_has_action(facts, name))
        return false;
    return json_array_append_new(actions, json_string(name)) == 0;
}
