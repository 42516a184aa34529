#include "ecosystem/ecosystem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/node.h"
#include "ecosystem/read_apps.h"
#include "ecosystem/read_json.h"
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
    int r = config_error_set(reterr, ERR_INVALID, spec->line, "name",
                             "the app on line %u has this name too%s", eco->apps[first].line,
                             spec->name ? "" : " (it comes from the script; give another)");
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

static int load_text(struct ecosystem *eco, const char *text, size_t len,
                     struct config_error *reterr)
{
    static const char bom[] = "\xef\xbb\xbf";
    size_t bom_len = sizeof bom - 1;
    if (len >= bom_len && memcmp(text, bom, bom_len) == 0) {
        text += bom_len;
        len -= bom_len;
    }
    AUTONODE struct node root = {0};
    int r = read_json(text, len, &root, reterr);
    if (r == 0)
        r = read_apps(eco, &root, reterr);
    if (r == 0)
        r = ecosystem_check_names(eco, reterr);
    if (r < 0)
        config_error_place(reterr, eco->file, NULL);
    return r;
}

int ecosystem_load_text(const char *file_name, const char *text, size_t len,
                        struct ecosystem **ret_eco, struct config_error *reterr)
{
    AUTOECO struct ecosystem *eco = ecosystem_new(file_name);
    int r = load_text(eco, text, len, reterr);
    if (r == 0)
        *ret_eco = TAKE(eco);
    return r;
}

static bool ends_with_any(const char *name, const char *const *ends)
{
    for (; *ends; ends++)
        if (str_ends(name, *ends))
            return true;
    return false;
}

bool ecosystem_is_file_name(const char *name)
{
    static const char *const ends[] = {".json",       ".yml",        ".yaml", ".config.js",
                                       ".config.cjs", ".config.mjs", NULL};
    return ends_with_any(name, ends);
}

/* Reads what the name and the file allow. */
static int read_file(const char *path, struct buf *text, struct config_error *reterr)
{
    static const char *const others[] = {".yml", ".yaml", ".js", ".cjs", ".mjs", ".ts", NULL};
    int r = ends_with_any(path, others) ? ERR_UNSUPPORTED : path_read(path, text);
    if (r == 0)
        return 0;
    if (r == ERR_UNSUPPORTED)
        config_error_set(reterr, r, 0, NULL, "only JSON files can be read; write the apps as JSON");
    else if (r == ERR_TOO_BIG)
        config_error_set(reterr, r, 0, NULL, "larger than %u MiB", LIMIT_ECOSYSTEM_FILE >> 20);
    else
        config_error_set(reterr, r, 0, NULL, "cannot be read: %s", err_str(r));
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
    AUTOECO struct ecosystem *eco = ecosystem_new(path);
    r = load_text(eco, text.data ? text.data : "", text.len, reterr);
    if (r == 0)
        *ret_eco = TAKE(eco);
    else if (reterr_warnings)
        strlist_copy(reterr_warnings, &eco->warnings);
    return r;
}

void ecosystem_select_env(struct ecosystem *eco, const char *name)
{
    for (size_t i = 0; i < eco->count; i++) {
        struct app_spec *spec = &eco->apps[i];
        AUTOFREE char *nearest = NULL, *app = name_of(spec);
        if (app_spec_select_env(spec, name, &nearest))
            continue;
        ecosystem_warn(eco, spec->line, app, "there is no \"env_%s\", \"env\" is used alone%s%s%s",
                       name, nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                       nearest ? "\"?" : "");
    }
}

int ecosystem_resolve(struct ecosystem *eco, const char *cwd, const struct strlist *env,
                      struct config_error *reterr)
{
    for (size_t i = 0; i < eco->count; i++) {
        int r = app_spec_resolve(&eco->apps[i], cwd, env, reterr);
        if (r < 0) {
            config_error_place(reterr, eco->file, NULL);
            return r;
        }
    }
    return ecosystem_check_names(eco, reterr);
}
