#include "remote/capture_record.h"

#include <stdio.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "remote/foreign.h"

enum { WORD_MAX = 32 };
#define MAX_TIME (1LL << 50)

static const char *const state_names[] = {
#define X(name, word) [name] = word,
    CAPTURE_STATES(X)
#undef X
};

const char *capture_state_name(enum capture_state state)
{
    return state_names[state];
}

int capture_state_parse(const char *word, enum capture_state *ret_state)
{
    for (size_t i = 0; i < ARRAY_SIZE(state_names); i++) {
        if (!str_eq(word, state_names[i]))
            continue;
        *ret_state = (enum capture_state)i;
        return 0;
    }
    return ERR_INVALID;
}

// clang-format off
/* Who asked and when is not among them: that the console knows itself. */
static const struct {
    const char *name;
    int64_t min;
    int64_t max;
} numbers[] = {
    {"pid",            1,    1 << 30},
    {"duration_ms",    1,    1LL << 40},
    {"interval_us",    50,   10000000},
    {"interval_bytes", 1024, 1LL << 30},
    {"start_pause_us", 0,    MAX_TIME},
    {"measured_us",    0,    MAX_TIME},
    {"bytes",          0,    MAX_TIME},
    {"ended_ms",       1,    MAX_TIME},
};

static const char *const texts[] = {"node_version", "reason"};
// clang-format on

static int refuse(char *reterr_text, size_t size, const char *field)
{
    (void)snprintf(reterr_text, size,
                   "capture: field \"%s\" of the record is missing or does not fit", field);
    return ERR_INVALID;
}

/* ---- whose it is ----------------------------------------------------------------------------- */

static int take_identity(const json_t *record, struct capture_record *r, char *reterr_text,
                         size_t size)
{
    const char *id = foreign_text(json_object_get(record, "id"), 1, UUID_TEXT - 1);
    const char *kind = foreign_text(json_object_get(record, "kind"), 1, CAPTURE_WORD - 1);
    const char *app = foreign_text(json_object_get(record, "app"), 1, LIMIT_NAME);
    if (!id || !uuid_valid_v7(id))
        return refuse(reterr_text, size, "id");
    if (!kind)
        return refuse(reterr_text, size, "kind");
    if (!app)
        return refuse(reterr_text, size, "app");
    if (!foreign_int(json_object_get(record, "instance"), 0, LIMIT_INSTANCES, &r->instance))
        return refuse(reterr_text, size, "instance");
    if (capture_state_parse(json_get_string(record, "state", ""), &r->state) < 0)
        return refuse(reterr_text, size, "state");
    (void)snprintf(r->id, sizeof r->id, "%s", id);
    (void)snprintf(r->kind, sizeof r->kind, "%s", kind);
    (void)snprintf(r->app, sizeof r->app, "%s", app);
    return 0;
}

/* ---- the rest -------------------------------------------------------------------------------- */

static void set_clean(json_t *out, const char *name, const char *text)
{
    char clean[RECORD_MESSAGE_MAX + 1];
    foreign_copy(clean, sizeof clean, text);
    json_set_string(out, name, clean);
}

static void take_values(const json_t *record, json_t *out)
{
    int64_t value;
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        if (foreign_int(json_object_get(record, numbers[i].name), numbers[i].min, numbers[i].max,
                        &value))
            json_set_int(out, numbers[i].name, value);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const char *text = foreign_text(json_object_get(record, texts[i]), 1, WORD_MAX);
        if (text)
            set_clean(out, texts[i], text);
    }
}

/* A word of small letters, as phases and warnings are. */
static const char *word(const json_t *value, size_t max)
{
    const char *text = foreign_text(value, 1, max);
    return text && strspn(text, "abcdefghijklmnopqrstuvwxyz_") == strlen(text) ? text : NULL;
}

static void take_phases(const json_t *record, json_t *out)
{
    size_t i;
    json_t *phase;
    json_t *phases = json_array();
    const char *last = NULL;
    json_array_foreach(json_object_get(record, "phases"), i, phase)
    {
        int64_t at_ms;
        const char *name = word(json_object_get(phase, "phase"), RECORD_PHASE_MAX);
        if (!name || json_array_size(phases) == RECORD_PHASES_MAX ||
            !foreign_int(json_object_get(phase, "at_ms"), 1, MAX_TIME, &at_ms))
            continue;
        json_t *entered = json_object();
        json_set_string(entered, "phase", name);
        json_set_int(entered, "at_ms", at_ms);
        (void)json_array_append_new(phases, entered);
        last = name;
    }
    (void)json_object_set_new(out, "phases", phases);
    const char *named = word(json_object_get(record, "phase"), RECORD_PHASE_MAX);
    json_set_string(out, "phase", named ? named : last);
}

static void take_warnings(const json_t *record, json_t *out)
{
    size_t i;
    json_t *warning;
    AUTOJSON json_t *warnings = json_array();
    json_array_foreach(json_object_get(record, "warnings"), i, warning)
    {
        const char *name = word(warning, WORD_MAX);
        if (name && json_array_size(warnings) < RECORD_WARNINGS_MAX)
            (void)json_array_append_new(warnings, json_string(name));
    }
    if (json_array_size(warnings) > 0)
        (void)json_object_set(out, "warnings", warnings);
}

static void take_error(const json_t *record, json_t *out)
{
    const json_t *error = json_object_get(record, "error");
    const char *name = foreign_text(json_object_get(error, "name"), 1, WORD_MAX);
    const char *message = foreign_text(json_object_get(error, "message"), 0, RECORD_MESSAGE_MAX);
    if (!name || !message)
        return;
    json_t *own = json_object();
    set_clean(own, "name", name);
    set_clean(own, "message", message);
    (void)json_object_set_new(out, "error", own);
}

int capture_record_take(const json_t *record, struct capture_record *ret_record, char *reterr_text,
                        size_t size)
{
    struct capture_record r = {0};
    int e = take_identity(record, &r, reterr_text, size);
    if (e < 0)
        return e;
    r.facts = json_object();
    json_set_string(r.facts, "state", capture_state_name(r.state));
    take_values(record, r.facts);
    take_phases(record, r.facts);
    take_warnings(record, r.facts);
    take_error(record, r.facts);
    *ret_record = r;
    return 0;
}

void capture_record_clear(struct capture_record *r)
{
    json_decref(r->facts);
    *r = (struct capture_record){0};
}

json_t *capture_facts(const struct capture_row *row)
{
    return row->record ? json_object_parse(row->record, strlen(row->record)) : NULL;
}

/* What an agent says of a result that will not come. */
static bool says_none(const char *warning)
{
    static const char *const words[] = {"result_removed", "result_missing", "result_damaged",
                                        "result_too_large"};
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (str_eq(warning, words[i]))
            return true;
    return false;
}

bool capture_record_has_result(enum capture_state state, const json_t *facts)
{
    size_t i;
    json_t *warning;
    if (state != CAPTURE_DONE && state != CAPTURE_PARTIAL)
        return false;
    json_array_foreach(json_object_get(facts, "warnings"), i, warning)
    {
        if (says_none(json_string_value(warning)))
            return false;
    }
    return true;
}
