#include "supervisor/runtime.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ecosystem/spec.h"
#include "lib/base/auto.h"
#include "lib/base/list.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/spawn.h"
#include "lib/base/str.h"

enum { ANSWER_MS = 5000 };

struct waiter {
    struct list link;
    runtime_cb done;
    void *arg;
};

struct runtime {
    struct list link;
    struct runtimes *owner;
    char *path;
    dev_t dev;
    ino_t ino;
    struct timespec mtime;
    bool known;
    bool asking;
    struct runtime_version version;
    struct list waiters;
};

struct runtimes {
    uv_loop_t *loop;
    struct list all;
    struct list questions;
};

/* One run of `FILE -v`. */
struct question {
    struct list link;
    struct runtime *runtime; /* NULL: nobody wants the answer any more */
    uv_poll_t exited;
    uv_timer_t deadline;
    unsigned open_handles;
    pid_t pid;
    int pidfd;
    int output;
};

static int question_start(struct runtimes *rs, struct runtime *runtime);
static void on_exited(uv_poll_t *poll, int status, int events);
static void on_deadline(uv_timer_t *timer);
static void answer(struct question *q);
static void on_closed(uv_handle_t *handle);

bool runtime_read_version(const char *text, struct runtime_version *ret_version)
{
    struct runtime_version v = {.is_node = true};
    int end = 0;
    if (sscanf(text, "v%3d.%4d.%4d%n", &v.major, &v.minor, &v.patch, &end) != 3)
        return false;
    /* Digits only: sscanf() takes blanks and signs too. */
    if (strspn(text + 1, "0123456789.") < (size_t)end - 1)
        return false;
    if (text[end] != '\n' && text[end] != '\0' && text[end] != '-')
        return false;
    *ret_version = v;
    return true;
}

struct runtimes *runtimes_new(uv_loop_t *loop)
{
    struct runtimes *rs = xcalloc(1, sizeof *rs);
    rs->loop = loop;
    list_init(&rs->all);
    list_init(&rs->questions);
    return rs;
}

static void runtime_free(struct runtime *runtime)
{
    struct waiter *w;
    LIST_EACH(w, &runtime->waiters)
    free(w);
    free(runtime->path);
    free(runtime);
}

void runtimes_free(struct runtimes *rs)
{
    struct question *q;
    struct runtime *runtime;
    LIST_EACH(q, &rs->questions)
    {
        q->runtime = NULL;
        list_remove(&q->link);
        on_deadline(&q->deadline);
    }
    LIST_EACH(runtime, &rs->all)
    runtime_free(runtime);
    free(rs);
}

/* ---- which file ------------------------------------------------------------------------------ */

static bool interprets_javascript(const char *script)
{
    static const char *const endings[] = {".js", ".mjs", ".cjs", ".ts", ".mts", ".cts"};
    for (size_t i = 0; i < ARRAY_SIZE(endings); i++)
        if (str_ends(script, endings[i]))
            return true;
    return false;
}

static bool is_elf(const char *path)
{
    char magic[4];
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && read(fd, magic, sizeof magic) == (ssize_t)sizeof magic &&
           memcmp(magic, "\177ELF", sizeof magic) == 0;
}

/* node, nodejs, node20, node-v20.1.0; not node_exporter, which "-v" may start for good. */
static bool is_node_name(const char *name)
{
    if (!str_starts(name, "node"))
        return false;
    const char *rest = name + strlen("node");
    if (str_starts(rest, "js"))
        rest += strlen("js");
    rest += *rest == '-';
    rest += *rest == 'v';
    return strspn(rest, "0123456789.") == strlen(rest);
}

/* The program that may be Node; NULL when there is nothing to ask. */
static const char *candidate(const struct app_spec *spec)
{
    bool direct = str_eq(spec->interpreter, "none");
    const char *file = direct ? spec->script : spec->interpreter;
    bool named = is_node_name(path_base(file));
    if (!named && (direct || !interprets_javascript(spec->script)))
        return NULL;
    return is_elf(file) ? file : NULL;
}

static struct runtime *find(struct runtimes *rs, const char *path, const struct stat *st)
{
    struct runtime *runtime;
    LIST_EACH(runtime, &rs->all)
    {
        if (str_eq(runtime->path, path) && runtime->dev == st->st_dev &&
            runtime->ino == st->st_ino && runtime->mtime.tv_sec == st->st_mtim.tv_sec &&
            runtime->mtime.tv_nsec == st->st_mtim.tv_nsec)
            return runtime;
    }
    return NULL;
}

static struct runtime *add(struct runtimes *rs, const char *path, const struct stat *st)
{
    struct runtime *runtime = xcalloc(1, sizeof *runtime);
    runtime->owner = rs;
    runtime->path = xstrdup(path);
    runtime->dev = st->st_dev;
    runtime->ino = st->st_ino;
    runtime->mtime = st->st_mtim;
    list_init(&runtime->waiters);
    list_add(&rs->all, &runtime->link, runtime);
    return runtime;
}

int runtimes_ask(struct runtimes *rs, const struct app_spec *spec,
                 struct runtime_version *ret_version, runtime_cb done, void *arg)
{
    const char *file = candidate(spec);
    struct stat st;
    *ret_version = (struct runtime_version){0};
    if (!file || stat(file, &st) < 0)
        return 1;
    struct runtime *runtime = find(rs, file, &st);
    if (runtime && runtime->known) {
        *ret_version = runtime->version;
        return 1;
    }
    if (!runtime)
        runtime = add(rs, file, &st);
    if (!runtime->asking) {
        int r = question_start(rs, runtime);
        if (r < 0) {
            log_warn(r, "%s -v: cannot be run, taken for no Node", file);
            return 1;
        }
        runtime->asking = true;
    }
    struct waiter *w = xcalloc(1, sizeof *w);
    w->done = done;
    w->arg = arg;
    list_add(&runtime->waiters, &w->link, w);
    return 0;
}

void runtimes_forget(struct runtimes *rs, void *arg)
{
    struct runtime *runtime;
    struct waiter *w;
    LIST_EACH(runtime, &rs->all)
    {
        LIST_EACH(w, &runtime->waiters)
        {
            if (w->arg != arg)
                continue;
            list_remove(&w->link);
            free(w);
        }
    }
}

/* ---- one question ---------------------------------------------------------------------------- */

static int run_version(const char *file, struct question *q)
{
    int fds[2];
    if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0)
        return -errno;
    char *argv[] = {(char *)file, (char *)"-v", NULL};
    char *envp[] = {(char *)"PATH=/usr/local/bin:/usr/bin:/bin", NULL};
    const struct spawn s = {.file = file,
                            .argv = argv,
                            .envp = envp,
                            .cwd = "/",
                            .fds = {-1, fds[1], -1},
                            .fd_count = 3,
                            .new_session = true,
                            .nofile_soft = spawn_raise_nofile()};
    enum spawn_step step;
    int r = spawn_start(&s, &q->pid, &q->pidfd, &step);
    (void)close(fds[1]);
    if (r < 0)
        (void)close(fds[0]);
    else
        q->output = fds[0];
    return r;
}

static int question_start(struct runtimes *rs, struct runtime *runtime)
{
    struct question *q = xcalloc(1, sizeof *q);
    int r = run_version(runtime->path, q);
    if (r < 0) {
        free(q);
        return r;
    }
    q->runtime = runtime;
    list_add(&rs->questions, &q->link, q);
    (void)uv_poll_init(rs->loop, &q->exited, q->pidfd);
    (void)uv_timer_init(rs->loop, &q->deadline);
    q->exited.data = q->deadline.data = q;
    q->open_handles = 2;
    (void)uv_poll_start(&q->exited, UV_READABLE, on_exited);
    (void)uv_timer_start(&q->deadline, on_deadline, ANSWER_MS, 0);
    return 0;
}

/* Goes on in on_exited(). */
static void on_deadline(uv_timer_t *timer)
{
    struct question *q = timer->data;
    (void)syscall(SYS_pidfd_send_signal, q->pidfd, SIGKILL, NULL, 0);
}

static void on_exited(uv_poll_t *poll, int status, int events)
{
    struct question *q = poll->data;
    siginfo_t info = {0};
    if (waitid(P_PIDFD, (id_t)q->pidfd, &info, WEXITED | WNOHANG) == 0 && info.si_pid == 0)
        return;
    char text[128] = "";
    ssize_t n = read(q->output, text, sizeof text - 1);
    struct runtime *runtime = q->runtime;
    if (runtime) {
        bool finished = info.si_code == CLD_EXITED && info.si_status == 0 && n > 0;
        /* One that was killed for being slow is asked again the next time. */
        runtime->known = info.si_code == CLD_EXITED;
        runtime->asking = false;
        if (finished)
            (void)runtime_read_version(text, &runtime->version);
        log_info("%s: %s%.*s", runtime->path, runtime->version.is_node ? "Node " : "not Node",
                 runtime->version.is_node ? (int)strcspn(text, "\n") : 0, text);
    }
    answer(q);
    list_remove(&q->link);
    uv_close((uv_handle_t *)&q->exited, on_closed);
    uv_close((uv_handle_t *)&q->deadline, on_closed);
}

static void answer(struct question *q)
{
    if (!q->runtime)
        return;
    /* One after the other from the front: a callback may forget others. */
    while (!list_empty(&q->runtime->waiters)) {
        struct waiter *w = q->runtime->waiters.next->owner;
        list_remove(&w->link);
        w->done(w->arg, &q->runtime->version);
        free(w);
    }
}

static void on_closed(uv_handle_t *handle)
{
    struct question *q = handle->data;
    if (--q->open_handles > 0)
        return;
    (void)close(q->pidfd);
    (void)close(q->output);
    free(q);
}
