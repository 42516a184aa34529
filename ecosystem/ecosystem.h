/* ecosystem.h -- an ecosystem file: a checked list of app specs.
 *
 * Accepted shapes: {"apps": [app, …]}, {"apps": app}, the same with "pm2", one bare app object, a
 * list of apps.  The whole file is checked before anything is returned; the first error counts.
 * What is merely unknown or not supported becomes a warning.
 *
 * Of YAML and JavaScript a program of its own makes JSON (supervisor/cli/load).
 *
 *     ecosystem_load_… → ecosystem_select_env (with --env) → ecosystem_resolve → start the apps
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
    struct app_spec defaults;
};

/* More warnings than anybody reads; the last line then tells how many are left out. */
enum { ECOSYSTEM_WARNINGS = 100 };

/* Reads JSON; no I/O.  What is not strict JSON may still be JSON5.  `file_name` is for messages.
 * Returns 0, ERR_SYNTAX, ERR_INVALID or ERR_TOO_BIG; then `reterr` has the place and one sentence.
 * On an error `reterr_warnings` (NULL: of no interest) gets the warnings up to there: a misspelt key
 * may be the reason. */
int ecosystem_load_text(const char *file_name, const char *text, size_t len,
                        struct ecosystem **ret_eco, struct strlist *reterr_warnings,
                        struct config_error *reterr);

/* The same for a JSON file; also any error of opening and reading it. */
int ecosystem_load_file(const char *path, struct ecosystem **ret_eco,
                        struct strlist *reterr_warnings, struct config_error *reterr);

/* The same for what the program proctor-load says of a file, {"value": …} on the lines of the file,
 * or {"error": {"text", "line", "column"}}, which is returned as ERR_SYNTAX. */
int ecosystem_load_answer(const char *path, const char *text, size_t len,
                          struct ecosystem **ret_eco, struct strlist *reterr_warnings,
                          struct config_error *reterr);

/* How a file is read, by the end of its name; FILE_NONE: it is no ecosystem file but a script, say. */
enum ecosystem_file {
    FILE_NONE,
    FILE_JSON,   /* .json .json5 .jsonc */
    FILE_YAML,   /* .yml .yaml */
    FILE_SCRIPT, /* .config.js .config.cjs .config.mjs .config.ts .config.cts .config.mts */
};
enum ecosystem_file ecosystem_file_kind(const char *name);

/* Does an argument of the command line name an ecosystem file rather than a script? */
bool ecosystem_is_file_name(const char *name);

/* For each app: merges "env_<name>" over "env"; an app without that block keeps its env and gets a
 * warning.  An app that wants it gets the name appended to its own. */
void ecosystem_select_env(struct ecosystem *eco, const char *name);

/* app_spec_resolve() for every app, then the checks that all names differ and that no apps wait for
 * each other.  Parameters and errors as there. */
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
