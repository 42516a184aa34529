#include "supervisor/cli/cmd.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/out.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/text.h"
#include "supervisor/cli/token_file.h"

// clang-format off
static const struct arg_option options[] = {
    {"json", 'j', NULL, "prints the state as one JSON object"},
    {NULL, 0, NULL, NULL},
};
// clang-format on

/* ---- how it stands --------------------------------------------------------------------------- */

static int64_t wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Names come from the console. */
static void print_line(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
static void print_line(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTOFREE char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    if (!text)
        return;
    text_make_safe(text);
    (void)puts(text);
}

/* "linked to NAME (HOST:PORT), host id ID, certificate until DAY" */
static void print_identity(const json_t *state)
{
    char clock[TEXT_SHORT];
    if (!json_object_get(state, "host")) {
        (void)puts("this host is linked to a console, but not with files that can be used");
        return;
    }
    const char *console = json_get_string(state, "console", "?");
    const char *name = json_get_string(state, "name", NULL);
    int64_t until_ms = json_get_int(state, "certificate_until_ms", 0);
    print_line("linked to %s%s%s%s, host id %s%s%s", name ? name : console, name ? " (" : "",
               name ? console : "", name ? ")" : "", json_get_string(state, "host", "?"),
               until_ms > 0 ? ", certificate until " : "",
               until_ms > 0 ? text_clock(until_ms, false, clock) : "");
}

/* Only the console refuses; what stands in our own way does not. */
static const char *reason_words(const char *word, const json_t *error)
{
    if (!str_eq(word, "refused"))
        return "not connected, trying";
    return json_get_bool(error, "by_console", false) ? "refused by the console" : "not connected";
}

static void print_connection(const json_t *state)
{
    char text[TEXT_SHORT];
    const char *word = json_get_string(state, "state", "?");
    const json_t *error = json_object_get(state, "error");
    int64_t since_ms = json_get_int(state, "since_ms", 0);
    int64_t retry_ms = json_get_int(state, "retry_ms", 0);
    if (str_eq(word, "connected") && since_ms > 0)
        print_line("connected since %s", text_clock(since_ms, false, text));
    else if (str_eq(word, "connected"))
        print_line("connected");
    else
        print_line("%s%s%s", reason_words(word, error), error ? ": " : "",
                   error ? json_get_string(error, "message", "?") : "");
    if (str_eq(word, "refused") && !json_object_get(state, "host"))
        (void)puts("mend the files, or 'proctor unlink' and revoke this host at the console");
    if (retry_ms > wall_ms())
        print_line("next try in %s", text_seconds(retry_ms - wall_ms(), text));
}

static int status(const struct args *args)
{
    AUTOMSG struct msg answer = {0};
    AUTOCLIENT struct client c = CLIENT_NONE;
    int code = connect_running(&c);
    if (code == CMD_DONE)
        code = connect_call(&c, "cannot ask for the link", "link.status", NULL, &answer);
    if (code != CMD_DONE)
        return code;
    if (args_has(args, "json")) {
        out_json(answer.result);
        return CMD_DONE;
    }
    if (str_eq(json_get_string(answer.result, "state", NULL), "unlinked")) {
        (void)puts("this host is not linked to a console (see 'proctor help link')");
        return CMD_DONE;
    }
    print_identity(answer.result);
    print_connection(answer.result);
    return CMD_DONE;
}

/* ---- linking --------------------------------------------------------------------------------- */

static int refuse_argument(void)
{
    return say_usage("link", "a token does not belong on the command line, where the shell's "
                             "history and the list of processes show it: put a new one into a "
                             "file that only you can read and name that, or give '-' and paste it");
}

/* What the token itself is like is the agent's business; this one is a slip that has an easy answer. */
static int check_kind(const char *token)
{
    if (str_starts(token, "pt1."))
        return CMD_DONE;
    if (str_starts(token, "pa1."))
        say_error("this is an API token; linking a host takes what 'proctor-console token create "
                  "enrol' prints on the console's host");
    else
        say_error("this is no token: it does not begin with pt1.");
    return CMD_FAILED;
}

static int enrol(struct client *c, const char *token, const struct args *args)
{
    AUTOMSG struct msg answer = {0};
    json_t *params = json_object();
    json_set_string(params, "token", token);
    int code = connect_call(c, "cannot link this host", "link.set", params, &answer);
    if (code != CMD_DONE)
        return code;
    if (args_has(args, "json"))
        out_json(answer.result);
    else
        print_identity(answer.result);
    const json_t *error = json_object_get(answer.result, "error");
    if (error && !str_eq(json_get_string(answer.result, "state", NULL), "connected"))
        say_note("warning: the first connection failed, and is tried again: %s",
                 json_get_string(error, "message", "?"));
    return CMD_DONE;
}

static int link_with(const char *path, const struct args *args)
{
    char token[TOKEN_FILE_BYTES + 1];
    AUTOCLIENT struct client c = CLIENT_NONE;
    int code = token_file_read(path, TOKEN_FILE_WARN, token);
    if (code == CMD_DONE)
        code = check_kind(token);
    if (code == CMD_DONE)
        code = connect_running(&c);
    if (code == CMD_DONE)
        code = enrol(&c, token, args);
    explicit_bzero(token, sizeof token);
    return code;
}

static int run(const struct args *args)
{
    const char *what = args->operands[0];
    if (str_starts(what, "pt1."))
        return refuse_argument();
    return str_eq(what, "status") ? status(args) : link_with(what, args);
}

const struct cmd cmd_link = {
    .name = "link",
    .usage = "FILE | - | status",
    .help = "Links this host to a console, or tells how that stands.",
    .more = "FILE (or standard input) holds the token that 'proctor-console token create enrol'\n"
            "prints.  It can be used once.",
    .options = options,
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
