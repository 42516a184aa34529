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

enum exec_mode {
    EXEC_FORK,
    EXEC_CLUSTER,
    EXEC_AUTO, /* until it is resolved: cluster for a Node app whose instances were given */
};

enum app_type {
    APP_SERVICE,
    APP_JOB, /* ends by itself, which is no failure */
};

enum restart_policy {
    RESTART_ALWAYS,
    RESTART_ON_FAILURE, /* an exit code other than 0, or a signal */
    RESTART_NEVER,
};

/* What a cron time means for one that still runs. */
enum cron_overlap { CRON_RESTART, CRON_SKIP };

enum log_type { LOG_RAW, LOG_JSON };

/* An "env_<name>" block of a file. */
struct env_block {
    char *name; /* without "env_" */
    struct strlist env;
};

/* What stands at its default may be NULL, 0 or an empty list: see the table. */
struct app_spec {
    char *name; /* NULL as read when absent; resolving takes it from the script's name */
    char *namespace;
    enum app_type type;
    char *script; /* resolved: absolute */
    struct strlist args;
    char *cwd;     /* resolved: absolute, symbolic links as written */
    int instances; /* 1..LIMIT_INSTANCES_PER_APP; "max", 0 and negative numbers are worked out when
                      read */
    enum exec_mode exec_mode; /* resolved: fork or cluster */
    bool handover;
    char *instance_var;
    char *increment_var;
    struct strlist depends_on;
    char *uid; /* a name or a number; resolved: there is such a user */
    char *gid;
    bool force;

    /* Resolved: the absolute path of a program, or "none" when the script itself is executed.  The
     * command line is interpreter node_args… script args…, or script args… */
    char *interpreter;
    struct strlist node_args;
    bool source_map_support;

    struct strlist env; /* NAME=value, from "env" and, once selected, from "env_<name>"; resolved:
                           with env_file and port under it */
    struct strlist env_file;   /* resolved: absolute, and read */
    bool env_inherit;          /* start with the environment of the shell that declared the app */
    struct strlist filter_env; /* env_filter.h */
    int port;                  /* 0: none */
    bool append_env_to_name;

    bool autostart;
    bool autorestart; /* always restart != RESTART_NEVER */
    enum restart_policy restart;
    struct strlist stop_exit_codes; /* exit_codes.h */
    int restart_delay_ms;
    int exp_backoff_restart_delay_ms; /* 0: none */
    int max_restarts;
    int min_uptime_ms;
    int64_t max_memory_restart; /* bytes; 0: no limit */
    char *cron_restart;         /* cron.h has accepted it */
    char *cron_timezone;        /* zone.h has accepted it; NULL: that of the host */
    enum cron_overlap cron_overlap;

    bool wait_ready;
    int listen_timeout_ms;
    int kill_signal;
    int kill_timeout_ms;
    bool shutdown_with_message;
    bool treekill;

    struct strlist watch; /* paths, relative to cwd; empty: none */
    struct strlist ignore_watch;
    int watch_delay_ms;

    char *out_file; /* these: resolved: absolute */
    char *error_file;
    char *log_file; /* or "true": in the usual place */
    char *pid_file;
    bool merge_logs;
    bool disable_logs;
    enum log_type log_type;
    char *log_date_format;
    bool time;
    int64_t log_max_size;    /* bytes; 0: a log is not rotated for its size */
    int log_rotate_every_ms; /* 0: nor for its age */
    int log_keep;            /* archives of each log */

    enum profiling profiling;
    bool inspector; /* the inspector's signal may be sent on our own initiative */

    /* Kept until app_spec_select_env(); never sent to the supervisor. */
    struct env_block *env_named;
    size_t env_named_count;

    bool instances_given; /* not by default; neither compared nor sent */
    unsigned line; /* where the app begins in its file, 0 otherwise; neither compared nor sent */
};

/* Storage is the caller's.  init sets every default of the options table.  clear leaves an all-zero
 * spec; a zeroed one may be cleared too. */
void app_spec_init(struct app_spec *spec);
void app_spec_clear(struct app_spec *spec);
#define AUTOSPEC __attribute__((cleanup(app_spec_clear)))

/* `to` is initialised or zeroed storage; what it held is cleared. */
void app_spec_copy(struct app_spec *to, const struct app_spec *from);

/* Equal in everything but `line` and `instances_given`.  Environments are compared in their order. */
bool app_spec_equal(const struct app_spec *a, const struct app_spec *b);

/* In the field of this option alone. */
struct option;
bool app_spec_field_equal(const struct option *o, const struct app_spec *a,
                          const struct app_spec *b);

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
