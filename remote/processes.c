#include "remote/processes.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "remote/foreign.h"

enum { WORD_MAX = 32, WHY_MAX = 1000, KINDS_MAX = 16, CPU_MAX = 1000000 };
#define MAX_NUMBER (1LL << 50)

// clang-format off
static const struct {
    const char *name;
    int64_t min;
    int64_t max;
    bool required;
} numbers[] = {
    {"instance",  0, LIMIT_INSTANCES, true},
    {"pid",       0, 1 << 30,         false},
    {"memory",    0, MAX_NUMBER,      false},
    {"uptime_ms", 0, MAX_NUMBER,      false},
    {"restarts",  0, MAX_NUMBER,      false},
};

static const struct {
    const char *name;
    size_t max;
    bool required;
} texts[] = {
    {"app",          LIMIT_NAME, true},
    {"status",       WORD_MAX,   true},
    {"node_version", WORD_MAX,   false},
};
// clang-format on

/* ---- in -------------------------------------------------------------------------------------- */

/* Each of these returns the name of the first field that does not fit, or NULL; `*r` is of
 * adding. */
static const char *add_texts(const json_t *process, struct buf *out, int *r)
{
    char clean[LIMIT_NAME + 1];
    for (size_t i = 0; *r == 0 && i < ARRAY_SIZE(texts); i++) {
        const json_t *value = json_object_get(process, texts[i].name);
        const char *text = foreign_text(value, 1, texts[i].max);
        if (!text && !value && !texts[i].required)
            continue;
        if (!text)
            return texts[i].name;
        foreign_copy(clean, sizeof clean, text);
        *r = buf_addf(out, "%s\"%s\":", i ? "," : "", texts[i].name);
        if (*r == 0)
            *r = buf_add_json_string(out, clean);
    }
    return NULL;
}

static const char *add_numbers(const json_t *process, struct buf *out, int *r)
{
    int64_t number = 0;
    for (size_t i = 0; *r == 0 && i < ARRAY_SIZE(numbers); i++) {
        const json_t *value = json_object_get(process, numbers[i].name);
        if (!value && !numbers[i].required)
            continue;
        if (!foreign_int(value, numbers[i].min, numbers[i].max, &number))
            return numbers[i].name;
        *r = buf_addf(out, ",\"%s\":%lld", numbers[i].name, (long long)number);
    }
    return NULL;
}

static const char *add_cpu(const json_t *process, struct buf *out, int *r)
{
    const json_t *value = json_object_get(process, "cpu");
    double cpu = json_number_value(value);
    if (!value || *r < 0)
        return NULL;
    if (!json_is_number(value) || !isfinite(cpu) || cpu < 0 || cpu > CPU_MAX)
        return "cpu";
    *r = buf_addf(out, ",\"cpu\":%.1f", cpu);
    return NULL;
}

/* The numbers of an end: one of code and signal. */
static const struct {
    const char *name;
    int64_t min;
    int64_t max;
} exit_numbers[] = {
    {"at_ms", 1, MAX_NUMBER},
    {"uptime_ms", 0, MAX_NUMBER},
    {"code", 0, 255},
    {"signal", 1, 127},
};

static const char *const exit_marks[] = {"core", "asked"};

static bool add_exit_number(const json_t *end, size_t i, struct buf *out, int *r)
{
    int64_t number;
    const char *name = exit_numbers[i].name;
    const json_t *value = json_object_get(end, name);
    const char *other = str_eq(name, "code") ? "signal" : str_eq(name, "signal") ? "code" : NULL;
    if (!value)
        return other && json_object_get(end, other);
    if (!foreign_int(value, exit_numbers[i].min, exit_numbers[i].max, &number) ||
        (other && json_object_get(end, other)))
        return false;
    if (*r == 0)
        *r = buf_addf(out, "%s\"%s\":%lld", i ? "," : "", name, (long long)number);
    return true;
}

static const char *add_exit(const json_t *process, struct buf *out, int *r)
{
    const json_t *end = json_object_get(process, "exit");
    if (!end || *r < 0)
        return NULL;
    *r = buf_addstr(out, ",\"exit\":{");
    for (size_t i = 0; i < ARRAY_SIZE(exit_numbers); i++)
        if (!add_exit_number(end, i, out, r))
            return "exit";
    for (size_t i = 0; i < ARRAY_SIZE(exit_marks); i++) {
        const json_t *value = json_object_get(end, exit_marks[i]);
        if (!json_is_boolean(value))
            return "exit";
        if (*r == 0)
            *r = buf_addf(out, ",\"%s\":%s", exit_marks[i], json_is_true(value) ? "true" : "false");
    }
    if (*r == 0)
        *r = buf_addc(out, '}');
    return NULL;
}

static bool is_kind(const char *name)
{
    size_t len = strlen(name);
    return len >= 1 && len <= WORD_MAX && strspn(name, "abcdefghijklmnopqrstuvwxyz-") == len;
}

static const char *add_kinds(const json_t *process, struct buf *out, int *r)
{
    char clean[WHY_MAX + 1];
    const char *name;
    json_t *value;
    bool first = true;
    json_t *kinds = json_object_get(process, "kinds");
    if (!json_is_object(kinds) || json_object_size(kinds) > KINDS_MAX)
        return "kinds";
    if (*r == 0)
        *r = buf_addstr(out, ",\"kinds\":{");
    json_object_foreach(kinds, name, value)
    {
        const char *why = foreign_text(value, 0, WHY_MAX);
        if (!why || !is_kind(name))
            return "kinds";
        foreign_copy(clean, sizeof clean, why);
        if (*r == 0)
            *r = buf_addf(out, "%s\"%s\":", first ? "" : ",", name);
        if (*r == 0)
            *r = buf_add_json_string(out, clean);
        first = false;
    }
    if (*r == 0)
        *r = buf_addc(out, '}');
    return NULL;
}

static const char *add_process(const json_t *process, struct buf *out, int *r)
{
    const char *bad;
    *r = buf_addc(out, '{');
    if ((bad = add_texts(process, out, r)) || (bad = add_numbers(process, out, r)) ||
        (bad = add_cpu(process, out, r)) || (bad = add_exit(process, out, r)) ||
        (bad = add_kinds(process, out, r)))
        return bad;
    if (*r == 0)
        *r = buf_addc(out, '}');
    return NULL;
}

int processes_take(const json_t *list, struct buf *out, char *reterr_text, size_t size)
{
    size_t i;
    json_t *process;
    int r = !json_is_array(list)                      ? ERR_INVALID
            : json_array_size(list) > LIMIT_INSTANCES ? ERR_TOO_BIG
                                                      : buf_addc(out, '[');
    if (r < 0)
        list = NULL;
    json_array_foreach(list, i, process)
    {
        if (r == 0 && i > 0)
            r = buf_addc(out, ',');
        const char *bad = r == 0 ? add_process(process, out, &r) : NULL;
        if (bad) {
            (void)snprintf(reterr_text, size,
                           "processes[%zu]: field \"%s\" is missing or does not fit", i, bad);
            return ERR_INVALID;
        }
        if (r == 0)
            r = buf_addc(out, '\n');
        if (r < 0)
            break;
    }
    if (r == 0)
        r = buf_addc(out, ']');
    if (r < 0) {
        (void)snprintf(reterr_text, size, "the list of processes cannot be kept: %s", err_str(r));
        return r;
    }
    return (int)json_array_size(list);
}

/* ---- questions ------------------------------------------------------------------------------- */

static bool is_instance(const json_t *process, const char *app, int64_t instance)
{
    return str_eq(json_get_string(process, "app", ""), app) &&
           json_get_int(process, "instance", -1) == instance;
}

/* Is it worth being parsed?  A list may have thousands. */
static bool may_be_instance(const char *line, size_t len, int64_t instance)
{
    char text[40];
    int n = snprintf(text, sizeof text, "\"instance\":%lld", (long long)instance);
    return memmem(line, len, text, (size_t)n) != NULL;
}

/* The next line's process that is meant, the caller's; `*at` moves on.  NULL: no more. */
static json_t *next_instance(const char **at, const char *app, int64_t instance)
{
    const char *end;
    for (; (end = strchr(*at, '\n')); *at = end + 1) {
        /* Before it: '[' or ','. */
        const char *line = *at + 1;
        size_t len = (size_t)(end - line);
        json_t *process =
            may_be_instance(line, len, instance) ? json_loadb(line, len, 0, NULL) : NULL;
        if (process && is_instance(process, app, instance)) {
            *at = end + 1;
            return process;
        }
        json_decref(process);
    }
    return NULL;
}

int processes_check(const char *text, const char *app, int64_t instance, const char *kind,
                    char *reterr_text, size_t size)
{
    int r = ERR_NOT_FOUND;
    (void)snprintf(reterr_text, size, "app %s has no instance %lld there", app,
                   (long long)instance);
    for (json_t *next; (next = next_instance(&text, app, instance));) {
        AUTOJSON json_t *process = next;
        const char *why = json_get_string(json_object_get(process, "kinds"), kind, NULL);
        if (why && !*why)
            return 0;
        r = ERR_UNSUPPORTED;
        if (why)
            (void)snprintf(reterr_text, size, "%s", why);
        else
            (void)snprintf(reterr_text, size, "%s-%lld cannot be captured with kind %s", app,
                           (long long)instance, kind);
    }
    return r;
}
