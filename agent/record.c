#include "agent/record.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/wire/blob.h"
#include "lib/wire/method.h"

/* ---- words ----------------------------------------------------------------------------------- */

static const char *const kind_names[] = {
#define X(name, word, extension) [name] = word,
    RECORD_KINDS(X)
#undef X
};

static const char *const kind_extensions[] = {
#define X(name, word, extension) [name] = extension,
    RECORD_KINDS(X)
#undef X
};

static const char *const state_names[] = {
#define X(name, word) [name] = word,
    RECORD_STATES(X)
#undef X
};

const char *record_kind_name(enum record_kind kind)
{
    return kind_names[kind];
}

const char *record_kind_extension(enum record_kind kind)
{
    return kind_extensions[kind];
}

const char *record_state_name(enum record_state state)
{
    return state_names[state];
}

/* The place of `word` in a list of words, or -1. */
static int find_word(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(word, words[i]))
            return (int)i;
    return -1;
}

/* ---- fields ---------------------------------------------------------------------------------- */

/* Who brings a field.  A record's file holds all of them. */
enum { REQUEST = 1, PROGRESS = 2, ANSWER = 4, OURS = 8, CONSOLE = 16, ANY = 31 };
/* What the supervisor says while it runs and at the end. */
enum { FOUND = PROGRESS | ANSWER };

/* Room that is kept for the warnings of record.h. */
enum { OUR_WARNINGS = 5 };

#define MAX_TIME (1LL << 50)

#define ORIGIN_CONSOLE "console"

struct text_field {
    const char *name;
    size_t offset;
    size_t max;
    unsigned from;
    bool required;
    bool hash; /* a SHA-256 and nothing else */
};

struct number_field {
    const char *name;
    size_t offset;
    int64_t min;
    int64_t max;
    unsigned from;
    bool required;
    bool asked; /* goes into probe.start */
};

// clang-format off
#define AT(member) offsetof(struct record, member)

static const struct text_field texts[] = {
    {"app",           AT(app),           LIMIT_NAME,  REQUEST, true,  false},
    {"requester",     AT(requester),     LIMIT_NAME,  REQUEST, false, false},
    {"role",          AT(role),          RECORD_ROLE, CONSOLE, false, false},
    {"host",          AT(host),          UUID_TEXT - 1, OURS,  false, false},
    {"node_version",  AT(node_version),  RECORD_WORD, FOUND,   false, false},
    {"reason",        AT(reason),        RECORD_WORD, ANSWER,  false, false},
    {"sha256",        AT(sha256),        RECORD_HASH, OURS,    false, true},
    {"stored_sha256", AT(stored_sha256), RECORD_HASH, OURS,    false, true},
};

static const struct number_field numbers[] = {
    {"instance",       AT(instance),       0,    LIMIT_INSTANCES, REQUEST,         false, true},
    {"pid",            AT(pid),            1,    1 << 30,         REQUEST | FOUND, false, true},
    {"duration_ms",    AT(duration_ms),    1,    1LL << 40,       REQUEST,         false, true},
    {"interval_us",    AT(interval_us),    50,   10000000,        REQUEST,         false, true},
    {"interval_bytes", AT(interval_bytes), 1024, 1LL << 30,       REQUEST,         false, true},
    {"not_after_ms",   AT(not_after_ms),   1,    MAX_TIME,        REQUEST,         true,  false},
    {"created_ms",     AT(created_ms),     1,    MAX_TIME,        OURS,            true,  false},
    {"ended_ms",       AT(ended_ms),       1,    MAX_TIME,        OURS,            false, false},
    {"start_pause_us", AT(start_pause_us), 0,    MAX_TIME,        ANSWER,          false, false},
    {"measured_us",    AT(measured_us),    0,    MAX_TIME,        ANSWER,          false, false},
    {"bytes",          AT(bytes),          0,    MAX_TIME,        ANSWER,          false, false},
    {"stored_bytes",   AT(stored_bytes),   0,    MAX_TIME,        OURS,            false, false},
};
// clang-format on

static char **text_at(const struct record *r, const struct text_field *f)
{
    return (char **)((char *)r + f->offset);
}

static int64_t *number_at(const struct record *r, const struct number_field *f)
{
    return (int64_t *)((char *)r + f->offset);
}

void record_init(struct record *r)
{
    *r = (struct record){.state = RECORD_QUEUED};
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        *number_at(r, &numbers[i]) = RECORD_UNKNOWN;
    r->instance = 0;
}

void record_clear(struct record *r)
{
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        free(*text_at(r, &texts[i]));
    free(r->error_name);
    free(r->error_message);
    strlist_clear(&r->warnings);
    record_init(r);
}

static void set_text(char **text, const char *value)
{
    free(*text);
    *text = xstrdup(value);
}

/* Is it a string of 1 to `max` bytes? */
static bool is_text(const json_t *value, size_t max)
{
    size_t len = json_string_length(value);
    return json_is_string(value) && len >= 1 && len <= max;
}

static bool is_hash(const json_t *value)
{
    const char *text = json_string_value(value);
    return json_string_length(value) == RECORD_HASH &&
           strspn(text, "0123456789abcdef") == RECORD_HASH;
}

static bool is_number(const json_t *value, int64_t min, int64_t max)
{
    return json_is_integer(value) && json_integer_value(value) >= min &&
           json_integer_value(value) <= max;
}

/* Takes the fields that `from` brings, as far as they fit.  Returns the name of the first that is
 * missing or does not fit, or NULL. */
static const char *take_fields(struct record *r, const json_t *object, unsigned from)
{
    const char *bad = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        const struct text_field *f = &texts[i];
        const json_t *value = f->from & from ? json_object_get(object, f->name) : NULL;
        if (is_text(value, f->max) && (!f->hash || is_hash(value)))
            set_text(text_at(r, f), json_string_value(value));
        else if (!bad && (value || (f->required && (f->from & from))))
            bad = f->name;
    }
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
        const struct number_field *f = &numbers[i];
        const json_t *value = f->from & from ? json_object_get(object, f->name) : NULL;
        if (is_number(value, f->min, f->max))
            *number_at(r, f) = json_integer_value(value);
        else if (!bad && (value || (f->required && (f->from & from))))
            bad = f->name;
    }
    return bad;
}

/* ---- out of JSON ----------------------------------------------------------------------------- */

static int refuse(char reterr_text[static RECORD_TEXT], int r, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
static int refuse(char reterr_text[static RECORD_TEXT], int r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(reterr_text, RECORD_TEXT, fmt, ap);
    va_end(ap);
    return r;
}

static int take_identity(struct record *r, const json_t *object,
                         char reterr_text[static RECORD_TEXT])
{
    const char *id = json_get_string(object, "id", "");
    const char *name = json_get_string(object, "kind", "");
    if (!uuid_valid_v7(id))
        return refuse(reterr_text, ERR_INVALID,
                      "field \"id\" is missing or not a UUID of version 7");
    int kind = find_word(name, kind_names, ARRAY_SIZE(kind_names));
    if (kind < 0)
        return refuse(reterr_text, ERR_UNSUPPORTED,
                      "kind \"%.100s\" is not supported: a capture is of kind cpu or heap", name);
    memcpy(r->id, id, UUID_TEXT);
    r->kind = (enum record_kind)kind;
    return 0;
}

static int from_request(const json_t *params, unsigned from, int64_t now_ms,
                        struct record *ret_record, char reterr_text[static RECORD_TEXT])
{
    AUTORECORD struct record r;
    record_init(&r);
    int e = take_identity(&r, params, reterr_text);
    if (e < 0)
        return e;
    const char *bad = take_fields(&r, params, from);
    if (bad)
        return refuse(reterr_text, ERR_INVALID,
                      "capture.start: field \"%s\" is missing or out of range", bad);
    if (r.kind != RECORD_CPU && r.interval_us != RECORD_UNKNOWN)
        return refuse(reterr_text, ERR_INVALID,
                      "capture.start: field \"interval_us\" is for cpu; %s takes interval_bytes",
                      record_kind_name(r.kind));
    if (r.kind != RECORD_HEAP && r.interval_bytes != RECORD_UNKNOWN)
        return refuse(reterr_text, ERR_INVALID,
                      "capture.start: field \"interval_bytes\" is for heap; %s takes interval_us",
                      record_kind_name(r.kind));
    /* The record says what was used, also when nobody asked for it. */
    if (r.kind == RECORD_CPU && r.interval_us == RECORD_UNKNOWN)
        r.interval_us = WIRE_DEFAULT_INTERVAL_US;
    if (r.kind == RECORD_HEAP && r.interval_bytes == RECORD_UNKNOWN)
        r.interval_bytes = WIRE_DEFAULT_INTERVAL_BYTES;
    r.created_ms = now_ms;
    *ret_record = r;
    record_init(&r);
    return 0;
}

int record_from_request(const json_t *params, int64_t now_ms, struct record *ret_record,
                        char reterr_text[static RECORD_TEXT])
{
    return from_request(params, REQUEST, now_ms, ret_record, reterr_text);
}

int record_from_console(const json_t *message, const char *host, int64_t now_ms,
                        struct record *ret_record, char reterr_text[static RECORD_TEXT])
{
    AUTORECORD struct record r;
    record_init(&r);
    int e = from_request(message, REQUEST | CONSOLE, now_ms, &r, reterr_text);
    if (e < 0)
        return e;
    if (!r.role)
        return refuse(reterr_text, ERR_INVALID, "capture.start: field \"role\" is missing");
    r.from_console = true;
    r.host = xstrdup(host);
    *ret_record = r;
    record_init(&r);
    return 0;
}

static bool take_phases(struct record *r, const json_t *phases)
{
    size_t i;
    json_t *phase;
    if (phases && !json_is_array(phases))
        return false;
    json_array_foreach(phases, i, phase)
    {
        const json_t *at = json_object_get(phase, "at_ms");
        if (!is_number(at, 1, MAX_TIME) ||
            !record_enter(r, json_get_string(phase, "phase", ""), json_integer_value(at)))
            return false;
    }
    return true;
}

/* The first `max` warnings, as far as they fit; false when one did not. */
static bool take_warnings(struct record *r, const json_t *warnings, size_t max)
{
    size_t i;
    json_t *warning;
    bool fit = !warnings || (json_is_array(warnings) && json_array_size(warnings) <= max);
    json_array_foreach(warnings, i, warning)
    {
        if (i < max && is_text(warning, RECORD_WORD))
            record_warn(r, json_string_value(warning));
        else
            fit = false;
    }
    return fit;
}

static bool take_error(struct record *r, const json_t *error)
{
    const json_t *name = json_object_get(error, "name");
    const json_t *message = json_object_get(error, "message");
    if (!error)
        return true;
    if (!is_text(name, RECORD_WORD) || !json_is_string(message) ||
        json_string_length(message) > RECORD_MESSAGE)
        return false;
    set_text(&r->error_name, json_string_value(name));
    set_text(&r->error_message, json_string_value(message));
    return true;
}

/* Who asked for it, and whether the console has its end. */
static const char *take_origin(struct record *r, const json_t *object)
{
    const json_t *origin = json_object_get(object, "origin");
    const json_t *delivered = json_object_get(object, "delivered");
    if (origin && !str_eq(json_string_value(origin), ORIGIN_CONSOLE))
        return "origin";
    if (delivered && !json_is_boolean(delivered))
        return "delivered";
    r->from_console = origin != NULL;
    r->delivered = json_is_true(delivered);
    return NULL;
}

/* The first field of a record's file that does not fit, or NULL. */
static const char *take_record(struct record *r, const json_t *object)
{
    const char *bad = take_fields(r, object, ANY);
    if (!bad)
        bad = take_origin(r, object);
    if (bad)
        return bad;
    int state =
        find_word(json_get_string(object, "state", ""), state_names, ARRAY_SIZE(state_names));
    if (state < 0)
        return "state";
    r->state = (enum record_state)state;
    if (record_ended(r) != (r->ended_ms != RECORD_UNKNOWN))
        return "ended_ms";
    if (!take_phases(r, json_object_get(object, "phases")))
        return "phases";
    if (!take_warnings(r, json_object_get(object, "warnings"), RECORD_WARNINGS))
        return "warnings";
    return take_error(r, json_object_get(object, "error")) ? NULL : "error";
}

int record_parse(const char *text, size_t len, struct record *ret_record,
                 char reterr_text[static RECORD_TEXT])
{
    AUTOJSON json_t *object = json_object_parse(text, len);
    if (!object)
        return refuse(reterr_text, ERR_SYNTAX, "it is not one whole JSON object");
    AUTORECORD struct record r;
    record_init(&r);
    int e = take_identity(&r, object, reterr_text);
    if (e < 0)
        return ERR_INVALID;
    const char *bad = take_record(&r, object);
    if (bad)
        return refuse(reterr_text, ERR_INVALID, "field \"%s\" is missing or does not fit", bad);
    *ret_record = r;
    record_init(&r);
    return 0;
}

/* ---- into JSON ------------------------------------------------------------------------------- */

static json_t *phases_to_json(const struct record *r)
{
    json_t *phases = json_array();
    for (unsigned i = 0; i < r->phase_count; i++) {
        json_t *phase = json_object();
        json_set_string(phase, "phase", r->phases[i].name);
        json_set_int(phase, "at_ms", r->phases[i].at_ms);
        (void)json_array_append_new(phases, phase);
    }
    return phases;
}

static json_t *error_to_json(const struct record *r)
{
    json_t *error = json_object();
    json_set_string(error, "name", r->error_name);
    json_set_string(error, "message", r->error_message);
    return error;
}

static void set_identity(const struct record *r, json_t *object)
{
    json_set_string(object, "id", r->id);
    json_set_string(object, "kind", record_kind_name(r->kind));
}

json_t *record_to_json(const struct record *r)
{
    json_t *object = json_object();
    set_identity(r, object);
    if (r->from_console)
        json_set_string(object, "origin", ORIGIN_CONSOLE);
    if (r->delivered)
        json_set_bool(object, "delivered", true);
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        json_set_string(object, texts[i].name, *text_at(r, &texts[i]));
    json_set_string(object, "state", record_state_name(r->state));
    if (r->phase_count > 0)
        json_set_string(object, "phase", record_phase(r));
    (void)json_object_set_new(object, "phases", phases_to_json(r));
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        if (*number_at(r, &numbers[i]) != RECORD_UNKNOWN)
            json_set_int(object, numbers[i].name, *number_at(r, &numbers[i]));
    if (r->error_name)
        (void)json_object_set_new(object, "error", error_to_json(r));
    if (r->warnings.count > 0)
        (void)json_object_set_new(object, "warnings", json_from_strlist(&r->warnings));
    return object;
}

json_t *record_for_console(json_t *record)
{
    (void)json_object_del(record, "delivered");
    (void)json_object_del(record, "host");
    return record;
}

json_t *record_to_request(const struct record *r)
{
    json_t *object = json_object();
    set_identity(r, object);
    json_set_string(object, "app", r->app);
    json_set_string(object, "requester", r->requester);
    json_set_string(object, "role", r->role);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        if (numbers[i].asked && *number_at(r, &numbers[i]) != RECORD_UNKNOWN)
            json_set_int(object, numbers[i].name, *number_at(r, &numbers[i]));
    return object;
}

/* ---- what happens to it ---------------------------------------------------------------------- */

static bool has_phase(const struct record *r, const char *name)
{
    for (unsigned i = 0; i < r->phase_count; i++)
        if (str_eq(r->phases[i].name, name))
            return true;
    return false;
}

bool record_enter(struct record *r, const char *phase, int64_t at_ms)
{
    size_t len = strlen(phase);
    if (len == 0 || len > RECORD_PHASE_NAME || r->phase_count == RECORD_PHASES)
        return false;
    if (strspn(phase, "abcdefghijklmnopqrstuvwxyz_") != len || has_phase(r, phase))
        return false;
    struct record_phase *entered = &r->phases[r->phase_count++];
    memcpy(entered->name, phase, len + 1);
    entered->at_ms = at_ms;
    return true;
}

void record_leave(struct record *r, const char *phase)
{
    if (r->phase_count > 0 && str_eq(r->phases[r->phase_count - 1].name, phase))
        r->phase_count--;
}

const char *record_phase(const struct record *r)
{
    return r->phase_count > 0 ? r->phases[r->phase_count - 1].name
                              : record_state_name(RECORD_QUEUED);
}

bool record_progress(struct record *r, const json_t *params, int64_t now_ms)
{
    const json_t *at = json_object_get(params, "at_ms");
    int64_t at_ms = is_number(at, 1, MAX_TIME) ? json_integer_value(at) : now_ms;
    (void)take_fields(r, params, PROGRESS);
    r->state = RECORD_RUNNING;
    return record_enter(r, json_get_string(params, "phase", ""), at_ms);
}

int record_answer(struct record *r, const json_t *answer, int64_t now_ms)
{
    int state =
        find_word(json_get_string(answer, "state", ""), state_names, ARRAY_SIZE(state_names));
    if (state != RECORD_DONE && state != RECORD_PARTIAL && state != RECORD_FAILED &&
        state != RECORD_CANCELLED)
        return ERR_PROTOCOL;
    (void)take_fields(r, answer, ANSWER);
    (void)take_warnings(r, json_object_get(answer, "warnings"), RECORD_WARNINGS - OUR_WARNINGS);
    (void)record_enter(r, json_get_string(answer, "phase", ""), now_ms);
    const char *name = json_get_string(answer, "error", NULL);
    if (name || state == RECORD_FAILED)
        record_fail(r, name, json_get_string(answer, "message", NULL), now_ms);
    record_end(r, (enum record_state)state, now_ms);
    return 0;
}

void record_end(struct record *r, enum record_state state, int64_t now_ms)
{
    r->state = state;
    r->ended_ms = now_ms;
    if (state != RECORD_CANCELLED)
        return;
    free(r->error_name);
    free(r->error_message);
    r->error_name = r->error_message = NULL;
}

static bool is_uuid_at(const char *text, size_t left)
{
    char word[UUID_TEXT];
    if (left < UUID_TEXT - 1)
        return false;
    for (size_t i = 0; i < UUID_TEXT - 1; i++)
        word[i] = (char)tolower((unsigned char)text[i]);
    word[UUID_TEXT - 1] = '\0';
    return uuid_valid(word);
}

/* A copy without the UUIDs that are not `own`. */
static char *without_uuids(const char *text, size_t len, const char *own)
{
    AUTOBUF struct buf out = BUF_INIT(RECORD_MESSAGE + 1);
    for (size_t i = 0; i < len;) {
        bool hide = is_uuid_at(text + i, len - i) && strncmp(text + i, own, UUID_TEXT - 1) != 0;
        size_t step = hide ? UUID_TEXT - 1 : 1;
        (void)(hide ? buf_addstr(&out, "(hidden)") : buf_addc(&out, text[i]));
        i += step;
    }
    return buf_take(&out);
}

void record_fail(struct record *r, const char *name, const char *message, int64_t now_ms)
{
    if (!name || !*name || strlen(name) > RECORD_WORD)
        name = err_name(ERR_FAILED);
    if (!message || !*message)
        message = err_str(err_from_name(name));
    size_t len = strnlen(message, RECORD_MESSAGE + 1);
    if (len > RECORD_MESSAGE)
        /* Not within a character of several bytes. */
        for (len = RECORD_MESSAGE; len > 0 && ((unsigned char)message[len] & 0xc0) == 0x80;)
            len--;
    char *new_name = xstrdup(name);
    char *new_message = without_uuids(message, len, r->id);
    free(r->error_name);
    free(r->error_message);
    r->error_name = new_name;
    r->error_message = new_message;
    record_end(r, RECORD_FAILED, now_ms);
}

static bool has_warning(const struct record *r, const char *warning)
{
    for (size_t i = 0; i < r->warnings.count; i++)
        if (str_eq(r->warnings.items[i], warning))
            return true;
    return false;
}

void record_warn(struct record *r, const char *warning)
{
    if (!has_warning(r, warning) && r->warnings.count < RECORD_WARNINGS)
        strlist_add(&r->warnings, warning);
}

void record_pack(struct record *r, const struct blob_sums *sums)
{
    char text[SHA256_TEXT];
    sha256_to_hex(sums->sha256, text);
    set_text(&r->sha256, text);
    sha256_to_hex(sums->stored_sha256, text);
    set_text(&r->stored_sha256, text);
    r->bytes = (int64_t)sums->bytes;
    r->stored_bytes = (int64_t)sums->stored_bytes;
}

void record_unpack(struct record *r)
{
    free(r->sha256);
    free(r->stored_sha256);
    r->sha256 = r->stored_sha256 = NULL;
    r->stored_bytes = RECORD_UNKNOWN;
}

bool record_packed(const struct record *r)
{
    return r->sha256 && r->stored_sha256 && r->stored_bytes != RECORD_UNKNOWN;
}

bool record_ended(const struct record *r)
{
    return r->state > RECORD_RUNNING;
}

bool record_has_result(const struct record *r)
{
    return (r->state == RECORD_DONE || r->state == RECORD_PARTIAL) &&
           !has_warning(r, RECORD_RESULT_REMOVED) && !has_warning(r, RECORD_RESULT_MISSING) &&
           !has_warning(r, RECORD_RESULT_DAMAGED) && !has_warning(r, RECORD_RESULT_TOO_LARGE);
}
