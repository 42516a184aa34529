#include "ecosystem/ecosystem.h"

#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/node.h"
#include "ecosystem/read_apps.h"
#include "ecosystem/read_json.h"
#include "ecosystem/read_json5.h"
#include "ecosystem/resolve.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"

struct ecosystem *ecosystem_new(const char *file_name)
{
    struct ecosystem *eco = xcalloc(1, sizeof *eco);
    eco->file = xstrdup(file_name);
    app_spec_init(&eco->defaults);
    return eco;
}

void ecosystem_free(struct ecosystem *eco)
{
    if (!eco)
        return;
    for (size_t i = 0; i < eco->count; i++)
        app_spec_clear(&eco->apps[i]);
    free(eco->apps);
    strlist_clear(&eco->warnings);
    app_spec_clear(&eco->defaults);
    free(eco->file);
    free(eco);
}

struct app_spec *ecosystem_add(struct ecosystem *eco)
{
    eco->apps = xreallocarray(eco->apps, eco->count + 1, sizeof *eco->apps);
    struct app_spec *spec = &eco->apps[eco->count++];
    app_spec_init(spec);
    return spec;
}

/* The line after the last warning is rewritten with each one that is left out. */
static void count_left_out(struct ecosystem *eco)
{
    struct strlist *w = &eco->warnings;
    if (w->count == ECOSYSTEM_WARNINGS)
        strlist_add(w, "");
    free(w->items[ECOSYSTEM_WARNINGS]);
    w->items[ECOSYSTEM_WARNINGS] =
        xasprintf("%s: %zu more warnings", eco->file, eco->warnings_total - ECOSYSTEM_WARNINGS);
}

void ecosystem_warn(struct ecosystem *eco, unsigned line, const char *app, const char *fmt, ...)
{
    if (eco->warnings_total++ >= ECOSYSTEM_WARNINGS) {
        count_left_out(eco);
        return;
    }
    AUTOFREE char *text = NULL;
    va_list ap;
    va_start(ap, fmt);
    int len = vasprintf(&text, fmt, ap);
    va_end(ap);
    if (len < 0)
        abort();
    struct config_error warning;
    char space[CONFIG_ERROR_TEXT];
    config_error_set(&warning, 0, line, NULL, "%s", text);
    config_error_place(&warning, eco->file, app);
    strlist_add(&eco->warnings, config_error_format(&warning, space));
}

/* A name of an app without a name is known before it is resolved, unless its script may be a
 * command. */
static char *name_of(const struct app_spec *spec)
{
    if (spec->name)
        return xstrdup(spec->name);
    return strpbrk(spec->script, " \t") ? NULL : app_name_from_script(spec->script, false);
}

static int same_name(const struct ecosystem *eco, size_t first, size_t again, const char *name,
                     struct config_error *reterr)
{
    const struct app_spec *spec = &eco->apps[again];
    unsigned line = eco->apps[first].line;
    AUTOFREE char *other = line ? xasprintf("the app on line %u", line) : xstrdup("another app");
    int r = config_error_set(reterr, ERR_INVALID, spec->line, "name", "%s has this name too%s",
                             other, spec->name ? "" : " (it comes from the script; give another)");
    config_error_place(reterr, eco->file, name);
    return r;
}

int ecosystem_check_names(const struct ecosystem *eco, struct config_error *reterr)
{
    AUTOSTRLIST struct strlist names = {0};
    for (size_t i = 0; i < eco->count; i++) {
        AUTOFREE char *name = name_of(&eco->apps[i]);
        for (size_t j = 0; name && j < i; j++)
            if (str_eq(names.items[j], name))
                return same_name(eco, j, i, name, reterr);
        /* "" is nobody's name. */
        strlist_add(&names, name ? name : "");
    }
    return 0;
}

/* Checks the apps of a tree; on an error hands out the warnings. */
static int load_tree(const char *file_name, const struct node *root, struct ecosystem **ret_eco,
                     struct strlist *reterr_warnings, struct config_error *reterr)
{
    AUTOECO struct ecosystem *eco = ecosystem_new(file_name);
    int r = read_apps(eco, root, reterr);
    if (r == 0)
        r = ecosystem_check_names(eco, reterr);
    if (r == 0)
        *ret_eco = TAKE(eco);
    else if (reterr_warnings)
        strlist_copy(reterr_warnings, &eco->warnings);
    return r;
}

/* What JSON5 says of a file that is neither is nearer to its fault. */
static int read_text(const char *text, size_t len, struct node *root, struct config_error *reterr)
{
    int r = read_json(text, len, root, reterr);
    return r == ERR_SYNTAX ? read_json5(text, len, root, reterr) : r;
}

int ecosystem_load_text(const char *file_name, const char *text, size_t len,
                        struct ecosystem **ret_eco, struct strlist *reterr_warnings,
                        struct config_error *reterr)
{
    static const char bom[] = "\xef\xbb\xbf";
    size_t bom_len = sizeof bom - 1;
    if (len >= bom_len && memcmp(text, bom, bom_len) == 0) {
        text += bom_len;
        len -= bom_len;
    }
    AUTONODE struct node root = {0};
    int r = read_text(text, len, &root, reterr);
    if (r == 0)
        r = load_tree(file_name, &root, ret_eco, reterr_warnings, reterr);
    if (r < 0)
        config_error_place(reterr, file_name, NULL);
    return r;
}

static int read_file(const char *path, struct buf *text, struct config_error *reterr)
{
    int r = path_read(path, text);
    if (r == ERR_TOO_BIG)
        config_error_set(reterr, r, 0, NULL, "larger than %u MiB", LIMIT_ECOSYSTEM_FILE >> 20);
    else if (r < 0)
        config_error_set(reterr, r, 0, NULL, "cannot be read: %s", err_str(r));
    if (r < 0)
        config_error_place(reterr, path, NULL);
    return r;
}

int ecosystem_load_file(const char *path, struct ecosystem **ret_eco,
                        struct strlist *reterr_warnings, struct config_error *reterr)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_ECOSYSTEM_FILE);
    int r = read_file(path, &text, reterr);
    if (r < 0)
        return r;
    return ecosystem_load_text(path, buf_str(&text), text.len, ret_eco, reterr_warnings, reterr);
}

/* ---- what proctor-load says ------------------------------------------------------------------ */

static unsigned get_unsigned(const struct node *object, const char *key)
{
    const struct node *n = node_get(object, key);
    return n && n->kind == NODE_NUMBER && n->number >= 0 && n->number <= INT_MAX
               ? (unsigned)n->number
               : 0;
}

static int load_error(const struct node *error, struct config_error *reterr)
{
    const struct node *text = error->kind == NODE_OBJECT ? node_get(error, "text") : NULL;
    int r = config_error_set(reterr, ERR_SYNTAX, get_unsigned(error, "line"), NULL, "%s",
                             text && text->text ? text->text : "cannot be read");
    reterr->column = get_unsigned(error, "column");
    return r;
}

int ecosystem_load_answer(const char *path, const char *text, size_t len,
                          struct ecosystem **ret_eco, struct strlist *reterr_warnings,
                          struct config_error *reterr)
{
    AUTONODE struct node root = {0};
    int r = read_json(text, len, &root, reterr);
    if (r == ERR_SYNTAX)
        config_error_set(reterr, r, 0, NULL, "what it answered cannot be read");
    struct node *first = r == 0 && root.kind == NODE_OBJECT ? root.first : NULL;
    if (ecosystem_file_kind(path) == FILE_SCRIPT)
        node_forget_lines(&root);
    if (first && str_eq(first->key, "error"))
        r = load_error(first, reterr);
    else if (first && str_eq(first->key, "value"))
        r = load_tree(path, first, ret_eco, reterr_warnings, reterr);
    else if (r == 0)
        r = config_error_set(reterr, ERR_SYNTAX, 0, NULL, "nothing was read from it");
    if (r < 0)
        config_error_place(reterr, path, NULL);
    return r;
}

static bool ends_with_any(const char *name, const char *const *ends)
{
    for (; *ends; ends++)
        if (str_ends(name, *ends))
            return true;
    return false;
}

enum ecosystem_file ecosystem_file_kind(const char *name)
{
    static const char *const json[] = {".json", ".json5", ".jsonc", NULL};
    static const char *const yaml[] = {".yml", ".yaml", NULL};
    static const char *const script[] = {".config.js",  ".config.cjs", ".config.mjs", ".config.ts",
                                         ".config.cts", ".config.mts", NULL};
    if (ends_with_any(name, json))
        return FILE_JSON;
    if (ends_with_any(name, yaml))
        return FILE_YAML;
    return ends_with_any(name, script) ? FILE_SCRIPT : FILE_NONE;
}

bool ecosystem_is_file_name(const char *name)
{
    return ecosystem_file_kind(name) != FILE_NONE;
}

/* "api" becomes "api-production". */
static void append_env(struct app_spec *spec, const char *env_name)
{
    bool is_command = strpbrk(spec->script, " \t") != NULL;
    AUTOFREE char *name =
        spec->name ? xstrdup(spec->name) : app_name_from_script(spec->script, is_command);
    free(spec->name);
    spec->name = xasprintf("%s-%s", name, env_name);
}

void ecosystem_select_env(struct ecosystem *eco, const char *name)
{
    for (size_t i = 0; i < eco->count; i++) {
        struct app_spec *spec = &eco->apps[i];
        AUTOFREE char *nearest = NULL, *app = name_of(spec);
        if (!app_spec_select_env(spec, name, &nearest))
            ecosystem_warn(
                eco, spec->line, app, "there is no \"env_%s\", \"env\" is used alone%s%s%s", name,
                nearest ? "; did you mean \"" : "", nearest ? nearest : "", nearest ? "\"?" : "");
        if (spec->append_env_to_name)
            append_env(spec, name);
    }
}

/* ---- apps that wait for others --------------------------------------------------------------- */

static const struct app_spec *find_app(const struct ecosystem *eco, const char *name)
{
    for (size_t i = 0; i < eco->count; i++)
        if (str_eq(eco->apps[i].name, name))
            return &eco->apps[i];
    return NULL;
}

/* Follows what `spec` waits for; `path` is how we came here, and gets the circle when there is one.
 * An app that was walked to its end once is `done`. */
static bool find_circle(const struct ecosystem *eco, const struct app_spec *spec, bool *done,
                        struct strlist *path)
{
    bool *is_done = &done[spec - eco->apps];
    bool again = false;
    for (size_t i = 0; i < path->count; i++)
        again |= str_eq(path->items[i], spec->name);
    if (*is_done)
        return false;
    strlist_add(path, spec->name);
    for (size_t i = 0; !again && i < spec->depends_on.count; i++) {
        const struct app_spec *other = find_app(eco, spec->depends_on.items[i]);
        if (other && find_circle(eco, other, done, path))
            return true;
    }
    if (again)
        return true;
    *is_done = true;
    free(path->items[--path->count]);
    path->items[path->count] = NULL;
    return false;
}

static int check_circles(const struct ecosystem *eco, struct config_error *reterr)
{
    AUTOFREE bool *done = xcalloc(eco->count, sizeof *done);
    for (size_t i = 0; i < eco->count; i++) {
        AUTOSTRLIST struct strlist path = {0};
        AUTOBUF struct buf text = BUF_INIT(LIMIT_STRING);
        const struct app_spec *spec = &eco->apps[i];
        if (!find_circle(eco, spec, done, &path))
            continue;
        for (size_t j = 0; j < path.count; j++)
            (void)buf_addf(&text, "%s%s", j ? " → " : "", path.items[j]);
        int r = config_error_set(reterr, ERR_INVALID, spec->line, "depends_on",
                                 "apps wait for each other: %s", buf_str(&text));
        config_error_place(reterr, eco->file, spec->name);
        return r;
    }
    return 0;
}

int ecosystem_resolve(struct ecosystem *eco, const char *cwd, const struct strlist *env,
                      struct config_error *reterr)
{
    for (size_t i = 0; i < eco->count; i++) {
        int r = app_spec_resolve(&eco->apps[i], cwd, env, reterr);
        if (r < 0) {
            if (!reterr->file[0])
                config_error_place(reterr, eco->file, NULL);
            return r;
        }
    }
    int r = ecosystem_check_names(eco, reterr);
    return r < 0 ? r : check_circles(eco, reterr);
}
