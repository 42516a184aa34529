#include "supervisor/cli/cmd.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/cli/app_request.h"
#include "supervisor/cli/app_table.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/out.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/target_args.h"
#include "supervisor/cli/text.h"

enum { ENDS_MAX = 1000, LINES_SHORT = 10 };

static const struct arg_option options[] = {
    {"lines", 'n', "N", "how many of the last ends to show; all that are kept otherwise"},
    {"all", 'a', NULL, "all kept lines of standard error of each end, not only of the last"},
    {"json", 'j', NULL, "prints {\"version\":1,\"apps\":[...]}"},
    {NULL, 0, NULL, NULL},
};

/* ---- sentences ------------------------------------------------------------------------------- */

/* What a cause means; one that an own phrase would only repeat is not listed. */
static const struct {
    const char *word;
    const char *phrase;
} causes[] = {
    {"stop", "stopped by a command"},
    {"restart", "stopped for a restart"},
    {"delete", "stopped to be deleted"},
    {"scale", "stopped, fewer instances were wanted"},
    {"proctor signal", "the signal was sent with proctor signal"},
    {"signal", "the signal did not come from proctor"},
};

static const char *cause_phrase(const json_t *end)
{
    const char *word = json_get_string(end, "cause", "");
    for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
        if (str_eq(causes[i].word, word))
            return causes[i].phrase;
    const char *oom = json_get_string(end, "oom", "no");
    if (str_eq(oom, "yes"))
        return "the kernel killed it for lack of memory (its log says so)";
    if (str_eq(oom, "likely"))
        return "probably killed by the kernel for lack of memory (it killed something for that "
               "while this ran)";
    return NULL;
}

static char *how(const json_t *end)
{
    int64_t signal = json_get_int(end, "signal", 0);
    const char *name = json_get_string(end, "signal_name", NULL);
    if (json_get_bool(end, "unknown", false))
        return xstrdup("ended while both supervisor and keeper were away, nobody knows how");
    if (signal <= 0)
        return xasprintf("exited with code %lld", (long long)json_get_int(end, "code", 0));
    return xasprintf("ended by signal %lld%s%s%s%s", (long long)signal, name ? " (SIG" : "",
                     name ? name : "", name ? ")" : "",
                     json_get_bool(end, "core", false) ? ", core dumped" : "");
}

/* ---- printing -------------------------------------------------------------------------------- */

/* The last `lines` lines, each behind a bar. */
static void print_stderr(const char *text, size_t lines)
{
    AUTOFREE char *copy = xstrdup(text);
    size_t len = strlen(copy), count = 0;
    while (len > 0 && copy[len - 1] == '\n')
        copy[--len] = '\0';
    text_make_safe(copy);
    char *from = copy + len;
    while (from > copy && (from[-1] != '\n' || ++count < lines))
        from--;
    for (char *line; (line = strsep(&from, "\n"));)
        (void)printf("      | %s\n", line);
}

static void print_end(const json_t *end, bool newest, bool all)
{
    char when[TEXT_SHORT], lived[TEXT_SHORT];
    AUTOFREE char *what = how(end);
    const char *phrase = cause_phrase(end), *text = json_get_string(end, "stderr", NULL);
    (void)printf("  %s  %s after %s%s%s%s; %s\n",
                 text_clock(json_get_int(end, "at_ms", 0), false, when), what,
                 text_seconds(json_get_int(end, "uptime_ms", 0), lived), phrase ? ", " : "",
                 phrase ? phrase : "",
                 json_get_bool(end, "forced", false) ? ", killed since it did not go" : "",
                 json_get_string(end, "then", "?"));
    if (text && (all || newest))
        print_stderr(text, all ? SIZE_MAX : LINES_SHORT);
}

static void print_app(const json_t *app, size_t ends, bool all, bool colors)
{
    AUTOFREE char *label = app_label(app);
    const char *status = json_get_string(app, "status", "?");
    AUTOFREE char *error = xstrdup(json_get_string(app, "error", ""));
    const json_t *exits = json_object_get(app, "exits");
    char age[TEXT_SHORT];
    text_make_safe(label);
    /* The lines of stderr follow below. */
    error[strcspn(error, "\n")] = '\0';
    char *stderr_part = strstr(error, "; stderr ended with:");
    if (stderr_part)
        *stderr_part = '\0';
    text_make_safe(error);
    (void)printf("%s is %s%s%s", label, colors ? say_color(app_status_color(status)) : "", status,
                 colors ? COLOR_RESET : "");
    if (json_get_int(app, "pid", 0) > 0)
        (void)printf(", for %s", text_age(json_get_int(app, "uptime_ms", 0), age));
    (void)printf("%s%s\n", *error ? ": " : "", error);
    if (json_array_size(exits) == 0)
        (void)puts("  no process of it has ended, as far as is known");
    for (size_t i = 0; i < json_array_size(exits) && i < ends; i++)
        print_end(json_array_get(exits, i), i == 0, all);
}

static int run(const struct args *args)
{
    int64_t ends = ENDS_MAX;
    const char *text = args_value(args, "lines");
    if (text && str_to_int(text, 1, ENDS_MAX, &ends) < 0)
        return say_usage("why", "'%s' is not a number of ends", text);
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOSTRLIST struct strlist targets = {0};
    AUTOMSG struct msg answer = {0};
    int code = target_args(&c, args, 0, &targets);
    if (code != CMD_DONE)
        return code;
    code = connect_call(&c, "cannot tell why", "app.why", app_request_targets(&targets), &answer);
    if (code != CMD_DONE)
        return code;
    if (args_has(args, "json")) {
        out_json(answer.result);
        return CMD_DONE;
    }
    size_t i;
    json_t *app;
    json_array_foreach(json_object_get(answer.result, "apps"), i, app)
    {
        (void)fputs(i ? "\n" : "", stdout);
        print_app(app, (size_t)ends, args_has(args, "all"), say_colors(stdout));
    }
    return CMD_DONE;
}

const struct cmd cmd_why = {
    .name = "why",
    .usage = "TARGET...",
    .help = "Tells how the last processes of apps ended, and why.",
    .more = "Code or signal, lack of memory, who asked for it, what came of it, the last lines of\n"
            "standard error.  The last 8 ends of an instance are kept, over restarts of the\n"
            "supervisor, not of the machine.",
    .options = options,
    .operands_min = 1,
    .operands_max = OPERANDS_ANY,
    .run = run,
};
