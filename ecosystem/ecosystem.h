/* ecosystem.h -- an ecosystem file: a checked list of app specs.
 *
 * Accepted shapes: {"apps": [app, …]}, {"apps": app}, the same with "pm2", one bare app object, a
 * list of apps.  The whole file is checked before anything is returned; the first error counts.
 * What is merely unknown or not supported becomes a warning.
 *
 *     ecosystem_load_file → ecosystem_select_env (with --env) → ecosystem_resolve → start the apps
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "ecosystem/spec.h"

struct config_error;

struct ecosystem {
    char *file; /* as the person named it */
    struct app_spec *apps;
    size_t count; /* 1..LIMIT_APPS */
    struct strlist
        warnings; /* lines for people, with file and line; at most ECOSYSTEM_WARNINGS + 1 */
    size_t warnings_total;
};

/* More warnings than anybody reads; the last line then tells how many are left out. */
enum { ECOSYSTEM_WARNINGS = 100 };

/* Reads text; no I/O.  `file_name` is for messages.  Returns 0, ERR_SYNTAX, ERR_INVALID or
 * ERR_TOO_BIG; then `reterr` has the place and one sentence. */
int ecosystem_load_text(const char *file_name, const char *text, size_t len,
                        struct ecosystem **ret_eco, struct config_error *reterr);

/* The same for a file; also any error of opening and reading it, and ERR_UNSUPPORTED for the name
 * of a YAML or JavaScript file.  On an error `reterr_warnings` (NULL: of no interest) gets the
 * warnings up to there: a misspelt key may be the reason. */
int ecosystem_load_file(const char *path, struct ecosystem **ret_eco,
                        struct strlist *reterr_warnings, struct config_error *reterr);

/* Does an argument of the command line name an ecosystem file rather than a script?  By its end:
 * .json, .yml, .yaml, .config.js, .config.cjs, .config.mjs. */
bool ecosystem_is_file_name(const char *name);

/* For each app: merges "env_<name>" over "env"; an app without that block keeps its env and gets a
 * warning. */
void ecosystem_select_env(struct ecosystem *eco, const char *name);

/* app_spec_resolve() for every app, then the check that all names differ.  Parameters and errors as
 * there. */
int ecosystem_resolve(struct ecosystem *eco, const char *cwd, const struct strlist *env,
                      struct config_error *reterr);

void ecosystem_free(struct ecosystem *eco);

static inline void auto_ecosystem_(struct ecosystem **eco)
{
    ecosystem_free(*eco);
}
#define AUTOECO __attribute__((cleanup(auto_ecosystem_)))

/* ---- for the readers of this folder ---------------------------------------------------------- */

struct ecosystem *ecosystem_new(const char *file_name);

/* Appends an app with the default settings (borrowed until the next call). */
struct app_spec *ecosystem_add(struct ecosystem *eco);

/* `app`: the app's name or NULL. */
void ecosystem_warn(struct ecosystem *eco, unsigned line, const char *app, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Error when two apps have one name. */
int ecosystem_check_names(const struct ecosystem *eco, struct config_error *reterr);
