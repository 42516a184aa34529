#include "supervisor/policy.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"

static const char *const default_kinds[] = {"cpu", "heap", "stack"};
static const char *const known_keys[] = {"kinds",  "max_duration", "apps",
                                         "legacy", "roles",        "logs"};
static const char *const known_roles[] = {"viewer", "operator", "admin"};
static const char *const default_roles[] = {"operator", "admin"};

static void set_list(struct strlist *list, const char *const *words, size_t count)
{
    strlist_clear(list);
    for (size_t i = 0; i < count; i++)
        strlist_add(list, words[i]);
}

static void set_defaults(struct policy *p)
{
    set_list(&p->kinds, default_kinds, ARRAY_SIZE(default_kinds));
    set_list(&p->roles, default_roles, ARRAY_SIZE(default_roles));
    strlist_clear(&p->apps);
    p->max_duration_ms = LIMIT_CAPTURE_DURATION_MS;
    p->legacy = true;
    p->logs = true;
    free(p->broken);
    p->broken = NULL;
}

void policy_init(struct policy *p, const char *path)
{
    *p = (struct policy){.path = xstrdup(path)};
    set_defaults(p);
}

void policy_clear(struct policy *p)
{
    free(p->path);
    free(p->broken);
    strlist_clear(&p->kinds);
    strlist_clear(&p->apps);
    strlist_clear(&p->roles);
    *p = (struct policy){0};
}

/* ---- reading --------------------------------------------------------------------------------- */

static int broken(struct policy *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static int broken(struct policy *p, const char *fmt, ...)
{
    va_list ap;
    char text[400];
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    free(p->broken);
    p->broken = xstrdup(text);
    return ERR_INVALID;
}

static int read_list(struct policy *p, const json_t *root, const char *key, struct strlist *list)
{
    const json_t *array = json_object_get(root, key);
    if (!array)
        return 0;
    if (!json_is_array(array))
        return broken(p, "\"%s\" must be an array of strings", key);
    strlist_clear(list);
    json_to_strlist(array, list);
    return list->count == json_array_size(array) ? 0
                                                 : broken(p, "\"%s\" must hold strings only", key);
}

static int read_bool(struct policy *p, const json_t *root, const char *key, bool *ret_value)
{
    const json_t *value = json_object_get(root, key);
    if (!value)
        return 0;
    if (!json_is_boolean(value))
        return broken(p, "\"%s\" must be true or false", key);
    *ret_value = json_is_true(value);
    return 0;
}

static int read_duration(struct policy *p, const json_t *root)
{
    const json_t *value = json_object_get(root, "max_duration");
    int64_t us = -1;
    if (!value)
        return 0;
    if (json_is_integer(value) && json_integer_value(value) <= INT64_MAX / 1000)
        us = json_integer_value(value) <= 0 ? -1 : json_integer_value(value) * 1000;
    if (json_is_string(value) && str_to_duration_us(json_string_value(value), 1000, &us) < 0)
        us = -1;
    if (us < 1000 || us / 1000 > LIMIT_CAPTURE_LONGEST_MS)
        return broken(p, "\"max_duration\" must be a time like \"5m\" or a number of milliseconds, "
                         "and at most a day");
    p->max_duration_ms = us / 1000;
    return 0;
}

/* `what` is "key" or "role". */
static int check_word(struct policy *p, const char *what, const char *word,
                      const char *const *known, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(word, known[i]))
            return 0;
    const char *nearest = str_nearest(word, known, count);
    return broken(p, "unknown %s \"%s\"%s%s%s", what, word, nearest ? ", did you mean \"" : "",
                  nearest ? nearest : "", nearest ? "\"?" : "");
}

/* A slip of the pen there would shut out people who should get in, so that words are checked. */
static int read_roles(struct policy *p, const json_t *root)
{
    int r = read_list(p, root, "roles", &p->roles);
    for (size_t i = 0; r == 0 && i < p->roles.count; i++)
        r = check_word(p, "role", p->roles.items[i], known_roles, ARRAY_SIZE(known_roles));
    return r;
}

static int read_keys(struct policy *p, const json_t *root)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)root, key, value)
    {
        int unknown = check_word(p, "key", key, known_keys, ARRAY_SIZE(known_keys));
        if (unknown < 0)
            return unknown;
    }
    int r = read_bool(p, root, "legacy", &p->legacy);
    if (r == 0)
        r = read_bool(p, root, "logs", &p->logs);
    if (r == 0)
        r = read_list(p, root, "kinds", &p->kinds);
    if (r == 0)
        r = read_list(p, root, "apps", &p->apps);
    if (r == 0)
        r = read_roles(p, root);
    return r == 0 ? read_duration(p, root) : r;
}

int policy_read(struct policy *p, const char *text, size_t len)
{
    set_defaults(p);
    if (!text)
        return 0;
    json_error_t je;
    AUTOJSON json_t *root = json_loadb(text, len, JSON_REJECT_DUPLICATES, &je);
    if (!root)
        return broken(p, "line %d: %s", je.line, je.text);
    if (!json_is_object(root))
        return broken(p, "must be one object");
    return read_keys(p, root);
}

void policy_refresh(struct policy *p)
{
    struct stat st = {0};
    bool exists = stat(p->path, &st) == 0;
    if (!exists && errno != ENOENT) {
        (void)broken(p, "%s", err_str(-errno));
        p->loaded = false; /* read again as soon as it can be, changed or not */
        return;
    }
    bool same = p->loaded && exists == p->exists && p->size == st.st_size &&
                p->mtime.tv_sec == st.st_mtim.tv_sec && p->mtime.tv_nsec == st.st_mtim.tv_nsec;
    if (same)
        return;
    AUTOBUF struct buf text = BUF_INIT(LIMIT_POLICY_FILE);
    int r = exists ? path_read(p->path, &text) : 0;
    if (r < 0)
        r = broken(p, "%s", err_str(r));
    else
        r = policy_read(p, exists ? buf_str(&text) : NULL, text.len);
    if (r < 0)
        log_err(0, "%s: %s; nothing may be captured until it is mended", p->path, p->broken);
    p->loaded = true;
    p->exists = exists;
    p->mtime = st.st_mtim;
    p->size = st.st_size;
}

/* ---- asking ---------------------------------------------------------------------------------- */

static bool matches(const struct strlist *patterns, const char *text)
{
    for (size_t i = 0; i < patterns->count; i++)
        if (fnmatch(patterns->items[i], text, 0) == 0)
            return true;
    return false;
}

static bool has_word(const struct strlist *words, const char *word)
{
    for (size_t i = 0; i < words->count; i++)
        if (str_eq(words->items[i], word))
            return true;
    return false;
}

/* Where the file lies is nobody's business away from here. */
static int refuse(const struct policy *p, const struct policy_ask *ask, char *text, size_t size,
                  const char *fmt, ...) __attribute__((format(printf, 5, 6)));
static int refuse(const struct policy *p, const struct policy_ask *ask, char *text, size_t size,
                  const char *fmt, ...)
{
    va_list ap;
    char what[500];
    va_start(ap, fmt);
    (void)vsnprintf(what, sizeof what, fmt, ap);
    va_end(ap);
    if (ask->away)
        (void)snprintf(text, size, "the policy of this host %s", what);
    else
        (void)snprintf(text, size, "the policy of this host (%s) %s", p->path, what);
    return ERR_POLICY;
}

static int refuse_broken(const struct policy *p, const struct policy_ask *ask, char *text,
                         size_t size)
{
    if (ask->away)
        return refuse(p, ask, text, size,
                      "has a mistake, told in its proctor.log, and refuses everything until it is "
                      "mended");
    return refuse(p, ask, text, size, "cannot be used, so nothing may be captured: %s", p->broken);
}

static int check_role(const struct policy *p, const struct policy_ask *ask, char *text, size_t size)
{
    if (ask->away && p->roles.count == 0)
        return refuse(p, ask, text, size, "allows no console to capture anything");
    if (ask->away && ask->role && !has_word(&p->roles, ask->role))
        return refuse(p, ask, text, size,
                      "does not allow captures by a console's account of role %s", ask->role);
    return 0;
}

int policy_check(const struct policy *p, const struct policy_ask *ask, char *reterr_text,
                 size_t size)
{
    if (p->broken)
        return refuse_broken(p, ask, reterr_text, size);
    int r = check_role(p, ask, reterr_text, size);
    if (r < 0)
        return r;
    if (!matches(&p->kinds, ask->kind))
        return refuse(p, ask, reterr_text, size, "does not allow captures of kind %s", ask->kind);
    if (p->apps.count > 0 && !matches(&p->apps, ask->app))
        return refuse(p, ask, reterr_text, size, "does not allow captures of %s", ask->app);
    if (ask->duration_ms > p->max_duration_ms)
        return refuse(p, ask, reterr_text, size,
                      "allows captures of at most %lld seconds, asked for %lld",
                      (long long)p->max_duration_ms / 1000, (long long)ask->duration_ms / 1000);
    if (!p->legacy && ask->node_major > 0 && ask->node_major <= 10)
        return refuse(p, ask, reterr_text, size,
                      "does not allow captures of Node 8 to 10 (\"legacy\": false): their "
                      "inspector is visible to all local users");
    return 0;
}

int policy_check_logs(const struct policy *p, char *reterr_text, size_t size)
{
    const struct policy_ask away = {.away = true};
    if (p->broken)
        return refuse_broken(p, &away, reterr_text, size);
    if (!p->logs)
        return refuse(p, &away, reterr_text, size, "lets no console read logs");
    return 0;
}
