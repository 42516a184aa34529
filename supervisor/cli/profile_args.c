#include "supervisor/cli/profile_args.h"

#include "lib/base/auto.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "supervisor/cli/args.h"
#include "supervisor/cli/away_args.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/say.h"

enum { PID_MAX = 1 << 30 };

// clang-format off
const struct arg_option profile_options[] = {
    {"duration", 'd', "TIME", "how long (10s, 2m); without it, until Ctrl-C"},
    {"interval", 0, "TIME|SIZE", "between samples: cpu a time (1ms), heap a size (512KB)"},
    {"output", 'o', "FILE", "a file, a folder, or - for standard output; %i is the instance"},
    {"instance", 0, "N", "one instance; otherwise all of the app's at once"},
    {"pid", 0, "PID", "a child process of the app, such as a cluster worker"},
    {"json", 'j', NULL, "prints {\"version\":1,\"captures\":[...]}"},
    AWAY_OPTIONS,
    {NULL, 0, NULL, NULL},
};
// clang-format on

static int read_interval(struct profile_args *p, const char *text)
{
    bool heap = str_eq(p->kind, "heap");
    int64_t low = heap ? 1024 : 50, high = heap ? 1 << 30 : 10000000;
    int r = heap ? str_to_size(text, &p->interval) : str_to_duration_us(text, 1, &p->interval);
    if (r == 0 && p->interval >= low && p->interval <= high)
        return CMD_DONE;
    return say_usage("profile", "'--interval %s': %s", text,
                     heap ? "expected a size from 1KB to 1GB, such as 512KB"
                          : "expected a time from 50us to 10s, such as 1ms");
}

static int read_duration(struct profile_args *p, const char *text)
{
    int64_t us;
    if (str_to_duration_us(text, 1000000, &us) == 0 && us >= 1000) {
        p->duration_ms = us / 1000;
        return CMD_DONE;
    }
    return say_usage("profile", "'--duration %s': expected a time such as 10s, 500ms or 2m", text);
}

static int read_number(const char *option, const char *text, int64_t low, int64_t high,
                       int64_t *ret_value)
{
    if (!text || str_to_int(text, low, high, ret_value) == 0)
        return CMD_DONE;
    return say_usage("profile", "'--%s %s': expected a number", option, text);
}

int profile_args_read(struct profile_args *p, const struct args *args)
{
    *p = (struct profile_args){.kind = args->operands[0],
                               .target = args->operands[1],
                               .output = args_value(args, "output"),
                               .instance = -1,
                               .as_json = args_has(args, "json")};
    const char *duration = args_value(args, "duration"), *interval = args_value(args, "interval");
    if (!str_eq(p->kind, "cpu") && !str_eq(p->kind, "heap"))
        return say_usage("profile", "unknown kind '%s'; there are cpu and heap", p->kind);
    int code = duration ? read_duration(p, duration) : CMD_DONE;
    if (code == CMD_DONE && interval)
        code = read_interval(p, interval);
    if (code == CMD_DONE)
        code =
            read_number("instance", args_value(args, "instance"), 0, LIMIT_INSTANCES, &p->instance);
    if (code == CMD_DONE)
        code = read_number("pid", args_value(args, "pid"), 1, PID_MAX, &p->pid);
    if (code == CMD_DONE)
        code = away_args_check("profile", args);
    if (code == CMD_DONE && p->as_json && str_eq(p->output, "-"))
        code = say_usage("profile", "'--json' and '-o -' want the same output");
    return code;
}

const char *profile_interval_key(const char *kind)
{
    return str_eq(kind, "heap") ? "interval_bytes" : "interval_us";
}
