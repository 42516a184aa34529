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
static const char *const known_keys[] = {"kinds", "max_duration", "apps", "legacy"};

static void set_defaults(struct policy *p)
{
    strlist_clear(&p->kinds);
    strlist_clear(&p->apps);
    for (size_t i = 0; i < ARRAY_SIZE(default_kinds); i++)
        strlist_add(&p->kinds, default_kinds[i]);
    p->max_duration_ms = LIMIT_CAPTURE_DURATION_MS;
    p->legacy = true;
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

static int read_keys(struct policy *p, const json_t *root)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)root, key, value)
    {
        bool known = false;
        for (size_t i = 0; i < ARRAY_SIZE(known_keys); i++)
            known |= str_eq(key, known_keys[i]);
        const char *nearest = known ? NULL : str_nearest(key, known_keys, ARRAY_SIZE(known_keys));
        if (!known)
            return broken(p, "unknown key \"%s\"%s%s%s", key, nearest ? ", did you mean \"" : "",
                          nearest ? nearest : "", nearest ? "\"?" : "");
    }
    const json_t *legacy = json_object_get(root, "legacy");
    if (legacy && !json_is_boolean(legacy))
        return broken(p, "\"legacy\" must be true or false");
    p->legacy = legacy ? json_is_true(legacy) : true;
    int r = read_list(p, root, "kinds", &p->kinds);
    if (r == 0)
        r = read_list(p, root, "apps", &p->apps);
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

/* Reads the file when it has changed since the last time. */
static void refresh(struct policy *p)
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

int policy_check(struct policy *p, const char *kind, const char *app, int64_t duration_ms,
                 int node_major, char *reterr_text, size_t size)
{
    refresh(p);
    if (p->broken)
        (void)snprintf(reterr_text, size, "%s: %s", p->path, p->broken);
    else if (!matches(&p->kinds, kind))
        (void)snprintf(reterr_text, size,
                       "the policy of this host (%s) does not allow captures of kind %s", p->path,
                       kind);
    else if (p->apps.count > 0 && !matches(&p->apps, app))
        (void)snprintf(reterr_text, size,
                       "the policy of this host (%s) does not allow captures of %s", p->path, app);
    else if (duration_ms > p->max_duration_ms)
        (void)snprintf(
            reterr_text, size,
            "the policy of this host (%s) allows captures of at most %lld seconds, asked for %lld",
            p->path, (long long)p->max_duration_ms / 1000, (long long)duration_ms / 1000);
    else if (!p->legacy && node_major > 0 && node_major <= 10)
        (void)snprintf(reterr_text, size,
                       "the policy of this host (%s) does not allow captures of Node 8 to 10 "
                       "(\"legacy\": false): "
                       "their inspector is visible to all local users",
                       p->path);
    else
        return 0;
    return ERR_POLICY;
}
