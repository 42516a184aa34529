#include "supervisor/cli/cmd.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "supervisor/cli/app_file.h"
#include "supervisor/cli/app_request.h"
#include "supervisor/cli/app_table.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/log_filter.h"
#include "supervisor/cli/log_set.h"
#include "supervisor/cli/out.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/since_word.h"
#include "supervisor/cli/target_args.h"
#include "supervisor/cli/text.h"

enum { LINES_MAX = 100000000, EVENT_BYTES = 16384 };

// clang-format off
static const struct arg_option options[] = {
    {"lines", 'n', "N", "how many of the last lines to begin with (15)"},
    {"since", 's', "TIME", "what was written since: 10m, 2h, 3d ago, 14:30, 2026-11-20T14:30"},
    {"grep", 'g', "RE", "lines that match this extended regular expression"},
    {"ignore-case", 'i', NULL, "of --grep"},
    {"nostream", 0, NULL, "ends after them instead of waiting for more"},
    {"out", 0, NULL, "standard output only"},
    {"err", 0, NULL, "standard error only"},
    {"raw", 0, NULL, "the lines alone, without names"},
    {"timestamps", 't', NULL, "the time of each line"},
    {"json", 'j', NULL, "a JSON object per line"},
    {NULL, 0, NULL, NULL},
};
// clang-format on

struct logs {
    const struct args *args;
    struct log_set set;
    struct log_filter filter;
    bool filtered; /* it, and so all lines have to be looked at */
    bool lines_given;
    size_t lines;
    bool raw, timestamps, as_json, colors, follow;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int sig)
{
    interrupted = 1;
}

/* ---- printing -------------------------------------------------------------------------------- */

/* Names as in PM2's `logs --json`. */
static void print_json(const struct log_source *source, const struct log_line *line_read)
{
    AUTOFREE char *text = xstrndup(line_read->text, line_read->len);
    char clock[TEXT_SHORT];
    AUTOJSON json_t *line = json_object();
    json_set_string(line, "message", text);
    if (line_read->time_ms > 0)
        json_set_string(line, "timestamp", text_utc(line_read->time_ms, clock));
    json_set_string(line, "type", source->name.is_err ? "err" : "out");
    json_set_string(line, "app_name", source->name.app);
    json_set_int(line, "instance", source->name.instance);
    out_json(line);
}

/* Each app has a colour, the same in every run; a red bar is standard error. */
static void print_prefix(const struct logs *l, const struct log_source *source)
{
    static const enum color palette[] = {COLOR_CYAN, COLOR_GREEN, COLOR_MAGENTA, COLOR_BLUE,
                                         COLOR_YELLOW};
    unsigned hash = 5381;
    for (const char *c = source->name.app; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    if (!l->colors)
        (void)printf("%s | ", source->label);
    else
        (void)printf("%s%s%s %s|%s ", say_color(palette[hash % ARRAY_SIZE(palette)]), source->label,
                     COLOR_RESET, say_color(source->name.is_err ? COLOR_RED : COLOR_DIM),
                     COLOR_RESET);
}

static void print_line(const struct logs *l, const struct log_source *source,
                       const struct log_line *line)
{
    char clock[TEXT_SHORT];
    if (l->as_json) {
        print_json(source, line);
        return;
    }
    if (!l->raw)
        print_prefix(l, source);
    if (l->timestamps)
        (void)printf("%s ", line->time_ms > 0 ? text_clock(line->time_ms, true, clock) : "-");
    (void)fwrite(line->text, 1, line->len, stdout);
    (void)fputc('\n', stdout);
}

static void print_lines(struct logs *l)
{
    const struct log_source *source;
    while (!interrupted && !say_broken() && (source = log_set_next(&l->set, !l->follow)))
        if (log_filter_wants(&l->filter, &source->line))
            print_line(l, source, &source->line);
    (void)fflush(stdout);
}

static void print_last(void *arg, const struct log_source *source, const struct log_line *line)
{
    print_line(arg, source, line);
}

/* What is there already, with a filter: all of it is looked at, and the last lines that are wanted are printed. */
static void print_wanted(struct logs *l)
{
    const struct log_source *source;
    struct log_last last = {0};
    log_set_seek_time(&l->set, l->filter.since_ms);
    do {
        while (!interrupted && !say_broken() && (source = log_set_next(&l->set, !l->follow))) {
            if (!log_filter_wants(&l->filter, &source->line))
                continue;
            if (l->lines_given || l->filter.since_ms == 0)
                log_last_add(&last, l->lines, source);
            else
                print_line(l, source, &source->line);
        }
    } while (!interrupted && log_set_check(&l->set) && l->follow);
    log_last_each(&last, print_last, l);
    log_last_clear(&last);
    (void)fflush(stdout);
}

/* ---- following ------------------------------------------------------------------------------- */

/* Reads all events that wait; true when a file came or went. */
static bool read_events(int fd)
{
    char space[EVENT_BYTES] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool files_changed = false;
    ssize_t n;
    while ((n = read(fd, space, sizeof space)) > 0) {
        for (const char *p = space; p < space + n;) {
            const struct inotify_event *event = (const void *)p;
            files_changed |= (event->mask & (IN_CREATE | IN_MOVED_TO | IN_Q_OVERFLOW)) != 0;
            p += sizeof *event + event->len;
        }
    }
    return files_changed;
}

/* Waits for the folder, a signal, or the reader of our output to go.  False: it is over. */
static bool wait_events(int fd)
{
    sigset_t ours, before;
    (void)sigemptyset(&ours);
    (void)sigaddset(&ours, SIGINT);
    (void)sigaddset(&ours, SIGTERM);
    (void)sigaddset(&ours, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &ours, &before);
    struct pollfd waits[] = {{.fd = fd, .events = POLLIN}, {.fd = STDOUT_FILENO, .events = 0}};
    int r = interrupted ? -1 : ppoll(waits, ARRAY_SIZE(waits), NULL, &before);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return r > 0 && (waits[1].revents & (POLLERR | POLLHUP)) == 0;
}

/* Reading goes on until nothing comes any more; then it waits. */
static void follow(struct logs *l, int fd)
{
    for (;;) {
        print_lines(l);
        if (interrupted || say_broken())
            return;
        if (log_set_check(&l->set))
            continue;
        if (!wait_events(fd))
            return;
        if (read_events(fd))
            (void)log_set_scan(&l->set);
    }
}

static void catch_signals(void)
{
    /* No SA_RESTART: a write that hangs ends too. */
    const struct sigaction action = {.sa_handler = on_signal};
    (void)sigaction(SIGINT, &action, NULL);
    (void)sigaction(SIGTERM, &action, NULL);
    (void)sigaction(SIGHUP, &action, NULL);
}

static int watch(const char *dir)
{
    AUTOCLOSE int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0)
        return -errno;
    if (inotify_add_watch(fd, dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_ONLYDIR) < 0)
        return -errno;
    return TAKE_FD(fd);
}

/* ---- which logs ------------------------------------------------------------------------------ */

static bool is_number(const char *s)
{
    return *s && !s[strspn(s, "0123456789")];
}

/* An id of the list stands for one instance; only the supervisor knows which. */
static void add_id(struct strlist *targets, const char *id)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOMSG struct msg answer = {0};
    AUTOSTRLIST struct strlist asked = {0};
    strlist_add(&asked, id);
    size_t i;
    json_t *app;
    if (connect_try(&c) < 0)
        return;
    int r = connect_ask(&c, "app.list", app_request_targets(&asked), &answer);
    if (r == -ETIMEDOUT)
        say_error("cannot find out what number %s is: %s", id, say_reason(r, &answer));
    if (r < 0)
        return;
    json_array_foreach(json_object_get(answer.result, "apps"), i, app)
    {
        strlist_add_taken(targets, app_label(app));
    }
}

/* The apps whose script it is, when a supervisor runs that knows them. */
static void add_script(struct strlist *targets, const char *operand)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    AUTOSTRLIST struct strlist found = {0};
    strlist_add(&found, operand);
    if (connect_try(&c) == 0 && target_expand(&c, &found) == CMD_DONE)
        strlist_copy(targets, &found);
}

static int add_target(struct strlist *targets, const char *operand)
{
    if (app_file_is(operand))
        return app_file_names(operand, targets);
    size_t before = targets->count;
    if (is_number(operand))
        add_id(targets, operand);
    else if (!target_is_pattern(operand) && (strchr(operand, '/') || access(operand, F_OK) == 0))
        add_script(targets, operand);
    if (targets->count == before)
        strlist_add(targets, operand);
    return CMD_DONE;
}

static int find_logs(struct logs *l)
{
    const struct args *args = l->args;
    for (size_t i = 0; i < args->operand_count; i++) {
        int code = add_target(&l->set.targets, args->operands[i]);
        if (code != CMD_DONE)
            return code;
    }
    int r = log_set_scan(&l->set);
    if (r < 0) {
        say_error("there are no logs in %s: %s", l->set.dir, err_str(r));
        return CMD_FAILED;
    }
    for (size_t i = 0; i < l->set.targets.count; i++) {
        const char *target = l->set.targets.items[i];
        if (str_eq(target, "all") || log_set_has(&l->set, target))
            continue;
        say_error("there are no logs of '%s' in %s", target, l->set.dir);
        return CMD_FAILED;
    }
    return CMD_DONE;
}

static int show(struct logs *l)
{
    AUTOCLOSE int fd = l->follow ? watch(l->set.dir) : -1;
    if (l->follow && fd < 0 && fd != -ENOENT) {
        say_error("cannot watch %s: %s", l->set.dir, err_str(fd));
        return CMD_FAILED;
    }
    int code = find_logs(l);
    if (code != CMD_DONE)
        return code;
    if (l->follow)
        catch_signals();
    if (l->filtered)
        print_wanted(l);
    else
        log_set_seek_tail(&l->set, l->lines);
    if (!l->follow) {
        print_lines(l);
        return CMD_DONE;
    }
    follow(l, fd);
    /* A write that the signal broke off is no failure. */
    if (interrupted)
        clearerr(stdout);
    return CMD_DONE;
}

static int read_filter(const struct args *args, struct log_filter *filter)
{
    char why[LOG_FILTER_TEXT];
    const char *since = args_value(args, "since"), *pattern = args_value(args, "grep");
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t now_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    if (since && since_word(since, now_ms, &filter->since_ms) < 0)
        return say_usage("logs", "'%s' is not a time: 10m, 2h or 3d ago, 14:30, 2026-11-20T14:30",
                         since);
    if (pattern && log_filter_pattern(filter, pattern, args_has(args, "ignore-case"), why) < 0)
        return say_usage("logs", "'%s' is no regular expression: %s", pattern, why);
    return CMD_DONE;
}

static int run(const struct args *args)
{
    int64_t lines = 15;
    const char *text = args_value(args, "lines");
    if (text && str_to_int(text, 0, LINES_MAX, &lines) < 0)
        return say_usage("logs", "'%s' is not a number of lines", text);
    struct log_filter filter = {0};
    int code = read_filter(args, &filter);
    if (code != CMD_DONE)
        return code;
    bool only_out = args_has(args, "out"), only_err = args_has(args, "err");
    AUTOFREE char *home = path_home();
    AUTOFREE char *dir = path_join(home, "logs");
    struct logs l = {
        .args = args,
        .lines = (size_t)lines,
        .lines_given = text != NULL,
        .filter = filter,
        .filtered = filter.has_pattern || filter.since_ms > 0,
        .raw = args_has(args, "raw"),
        .timestamps = args_has(args, "timestamps"),
        .as_json = args_has(args, "json"),
        .follow = !args_has(args, "nostream"),
        .colors = say_colors(stdout),
    };
    log_set_init(&l.set, dir);
    l.set.out = only_out || !only_err;
    l.set.err = only_err || !only_out;
    code = show(&l);
    log_set_clear(&l.set);
    log_filter_clear(&l.filter);
    return code;
}

const struct cmd cmd_logs = {
    .name = "logs",
    .aliases = {"log"},
    .usage = "[TARGET...]",
    .help = "Shows the last lines of the logs, and what comes.",
    .more = "Reads the files in $PROCTOR_HOME/logs, archives included; no supervisor need run.\n"
            "With --since all of its lines are shown unless --lines says how many.",
    .options = options,
    .operands_max = OPERANDS_ANY,
    .run = run,
};
