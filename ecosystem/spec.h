/* spec.h -- `struct app_spec`, the checked form of one configured app.
 *
 * Made from a file (ecosystem.h), from single options (option_set.h) or from a control message
 * (spec_json.h), always through the one table of options.h.  As read, `script`, `cwd` and
 * `interpreter` are what the person wrote; after app_spec_resolve() (resolve.h) they are absolute
 * and ready to be started. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/str.h"

enum profiling {
    PROFILING_ON_DEMAND, /* the inspector is opened when somebody asks for a capture */
    PROFILING_OFF,       /* never profiled */
    PROFILING_ALWAYS,    /* the inspector's port is open from the start */
};

/* An "env_<name>" block of a file. */
struct env_block {
    char *name; /* without "env_" */
    struct strlist env;
};

struct app_spec {
    char *name;   /* NULL as read when absent; resolving takes it from the script's name */
    char *script; /* resolved: absolute */
    struct strlist args;
    char *cwd;          /* resolved: absolute, symbolic links as written */
    struct strlist env; /* NAME=value, from "env" and, once selected, from "env_<name>" */
    int instances; /* 1..LIMIT_INSTANCES_PER_APP; "max", 0 and negative numbers are worked out when
                      read */

    /* Resolved: the absolute path of a program, or "none" when the script itself is executed.  The
     * command line is interpreter node_args… script args…, or script args… */
    char *interpreter;
    struct strlist node_args;

    bool autorestart;
    int restart_delay_ms;
    int max_restarts;
    int min_uptime_ms;
    int kill_timeout_ms;

    int64_t log_max_size;    /* bytes; 0: a log is not rotated for its size */
    int log_rotate_every_ms; /* 0: nor for its age */
    int log_keep;            /* archives of each log */

    enum profiling profiling;
    bool inspector;   /* the inspector's signal may be sent on our own initiative */
    bool env_inherit; /* start with the environment of the shell that declared the app */

    /* Kept until app_spec_select_env(); never sent to the supervisor. */
    struct env_block *env_named;
    size_t env_named_count;

    unsigned line; /* where the app begins in its file, 0 otherwise; neither compared nor sent */
};

/* Storage is the caller's.  init sets every default of the options table.  clear leaves an all-zero
 * spec; a zeroed one may be cleared too. */
void app_spec_init(struct app_spec *spec);
void app_spec_clear(struct app_spec *spec);
#define AUTOSPEC __attribute__((cleanup(app_spec_clear)))

/* `to` is initialised or zeroed storage; what it held is cleared. */
void app_spec_copy(struct app_spec *to, const struct app_spec *from);

/* Equal in everything but `line`.  Environments are compared in their order. */
bool app_spec_equal(const struct app_spec *a, const struct app_spec *b);

/* The block for "env_<name>", added empty when there is none (borrowed until the next call). */
struct env_block *app_spec_env_block(struct app_spec *spec, const char *name);

/* Merges the block "env_<name>" over `env` and forgets all blocks.  False when there is no such
 * block; then
 * `*ret_nearest` (which may be NULL) is the name of one that was probably meant, or NULL.  The
 * caller frees it. */
bool app_spec_select_env(struct app_spec *spec, const char *name, char **ret_nearest);

/* Why `name` cannot be an app's name, as a sentence without a full stop in `space`; NULL when it
 * can. Allowed are 1..LIMIT_NAME bytes of UTF-8 without control characters and '/', and not "all".
 */
enum { NAME_PROBLEM_TEXT = 160 };
const char *app_name_problem(const char *name, char space[static NAME_PROBLEM_TEXT]);

/* The name an app gets from its script: the file's name without the last extension.  Of a command
 * ("npm start") it is the program's.  The caller frees.  It may still be a name that
 * app_name_problem() refuses. */
char *app_name_from_script(const char *script, bool is_command);
