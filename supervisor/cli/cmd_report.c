#include "supervisor/cli/cmd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/report.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/text.h"

enum { LOG_BYTES = 65536 };

static const struct arg_option options[] = {
    {"output", 'o', "FILE", "writes a new file, private to you, instead of standard output"},
    {NULL, 0, NULL, NULL},
};

/* ---- the machine ----------------------------------------------------------------------------- */

static json_t *look_at_machine(const char *home)
{
    json_t *j = json_object();
    struct utsname name;
    struct sysinfo info;
    struct statvfs disk;
    struct rlimit files;
    if (uname(&name) == 0) {
        json_set_string(j, "kernel", name.release);
        json_set_string(j, "machine", name.machine);
    }
    if (sysinfo(&info) == 0) {
        json_set_int(j, "memory_bytes", (int64_t)info.totalram * info.mem_unit);
        json_set_int(j, "up_s", info.uptime);
        json_set_int(j, "processes", info.procs);
    }
    if (statvfs(home, &disk) == 0)
        json_set_int(j, "disk_free_bytes", (int64_t)(disk.f_bavail * disk.f_frsize));
    if (getrlimit(RLIMIT_NOFILE, &files) == 0)
        json_set_int(j, "nofile", (int64_t)files.rlim_cur);
    json_set_int(j, "cpus", sysconf(_SC_NPROCESSORS_ONLN));
    json_set_bool(j, "root", geteuid() == 0);
    return j;
}

/* The end of proctor.log, by lines. */
static json_t *read_log(const char *home)
{
    AUTOFREE char *path = path_join(home, "proctor.log");
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
    AUTOFREE char *text = xcalloc(1, LOG_BYTES + 1);
    json_t *lines = json_array();
    off_t size = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    if (size < 0)
        return lines;
    off_t from = size > LOG_BYTES ? size - LOG_BYTES : 0;
    ssize_t n = pread(fd, text, LOG_BYTES, from);
    char *rest = text;
    if (n > 0 && from > 0)
        (void)strsep(&rest, "\n");
    for (char *line; n > 0 && (line = strsep(&rest, "\n"));) {
        text_make_safe(line);
        if (*line)
            (void)json_array_append_new(lines, json_string(line));
    }
    return lines;
}

/* ---- the supervisor -------------------------------------------------------------------------- */

/* The answer, or a string: why there is none. */
static json_t *ask(struct client *c, const char *method, json_t *params)
{
    AUTOMSG struct msg answer = {0};
    int r = connect_ask(c, method, params, &answer);
    return r < 0 ? json_string(say_reason(r, &answer)) : json_incref(answer.result);
}

static void look_at_supervisor(json_t *report)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    int r = connect_try(&c);
    if (r < 0) {
        json_set_string(report, "supervisor", err_str(r));
        return;
    }
    json_t *params = json_object();
    json_set_bool(params, "detail", true);
    (void)json_object_set_new(report, "supervisor", ask(&c, "ping", json_object()));
    (void)json_object_set_new(report, "list", ask(&c, "app.list", params));
    (void)json_object_set_new(report, "why", ask(&c, "app.why", json_object()));
    (void)json_object_set_new(report, "link", ask(&c, "link.status", json_object()));
}

static int write_report(const json_t *report, const char *path)
{
    AUTOFREE char *text = json_dumps(report, JSON_INDENT(2));
    if (!path) {
        (void)printf("%s\n", text ? text : "{}");
        return CMD_DONE;
    }
    AUTOFCLOSE FILE *f = NULL;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd >= 0)
        f = fdopen(fd, "w");
    if (!f || fprintf(f, "%s\n", text ? text : "{}") < 0 || fflush(f) != 0) {
        say_error("cannot write %s: %s", path, err_str(-errno));
        return CMD_FAILED;
    }
    say_note("%s was written; look at it before you hand it on", path);
    return CMD_DONE;
}

static int run(const struct args *args)
{
    AUTOFREE char *home = path_home();
    AUTOJSON json_t *report = json_object();
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    json_set_int(report, "version", 1);
    json_set_int(report, "at_ms", (int64_t)now.tv_sec * 1000);
    json_set_string(report, "release", PROCTOR_VERSION);
    json_set_string(report, "home", home);
    (void)json_object_set_new(report, "host", look_at_machine(home));
    look_at_supervisor(report);
    (void)json_object_set_new(report, "log", read_log(home));
    report_strip(report);
    return write_report(report, args_value(args, "output"));
}

const struct cmd cmd_report = {
    .name = "report",
    .usage = "",
    .help = "Gathers what helps to find a fault, without secrets.",
    .more = "The machine, the supervisor, the apps' settings and ends, the end of proctor.log.  "
            "Neither\n"
            "environments nor arguments nor what apps have written are in it.",
    .options = options,
    .run = run,
};
