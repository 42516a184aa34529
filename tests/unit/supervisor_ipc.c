/* A supervisor that is killed again and again while an app writes: a child of this program stands for the supervisor, this
 * program for the keeper, another child for the app. */
#include "supervisor/ipc.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/keep/keep.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/slots.h"
#include "supervisor/supervisor.h"

enum { STORED_MAX = 8 };

/* ---- the keeper ------------------------------------------------------------------------------ */

static struct stored {
    char name[KEEP_NAME];
    int fd;
} stored[STORED_MAX];

static void forget(struct stored *s)
{
    if (s->name[0])
        (void)close(s->fd);
    s->name[0] = '\0';
}

static struct stored *find(const char *name)
{
    for (int i = 0; i < STORED_MAX; i++)
        if (str_eq(stored[i].name, name))
            return &stored[i];
    return NULL;
}

static void store(const char *name, int fd)
{
    struct stored *s = find(name);
    if (s)
        forget(s);
    for (int i = 0; !s && i < STORED_MAX; i++)
        s = stored[i].name[0] ? NULL : &stored[i];
    if (!s)
        abort();
    (void)snprintf(s->name, sizeof s->name, "%s", name);
    s->fd = fd;
}

/* Does what the supervisor has said so far; its end may be gone. */
static void listen_to(int sock)
{
    struct keep_msg msg;
    int fd;
    while (keep_receive(sock, &msg, &fd) > 0) {
        if (msg.type == KEEP_STORE)
            store(msg.name, fd);
        else if (msg.type == KEEP_DROP && find(msg.name))
            forget(find(msg.name));
    }
}

static void replay(int sock)
{
    struct keep_msg msg = {.version = KEEP_VERSION, .type = KEEP_FD};
    for (int i = 0; i < STORED_MAX; i++) {
        if (!stored[i].name[0])
            continue;
        memcpy(msg.name, stored[i].name, sizeof msg.name);
        assert_int_equal(keep_send(sock, &msg, stored[i].fd), 0);
    }
    msg = (struct keep_msg){.version = KEEP_VERSION, .type = KEEP_SYNCED, .flags = KEEP_AGAIN};
    assert_int_equal(keep_send(sock, &msg, -1), 0);
}

/* ---- the supervisor -------------------------------------------------------------------------- */

static struct slot *slot; /* shared by all */

static void supervise(int sock)
{
    struct supervisor *sup = xcalloc(1, sizeof *sup);
    struct app *app = xcalloc(1, sizeof *app);
    struct instance *in = xcalloc(1, sizeof *in);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    app->spec.name = xstrdup("app");
    app->sup = in->sup = sup;
    in->app = app;
    in->slot = slot;
    in->runtime.is_node = true;
    if (uv_loop_init(&sup->loop) < 0 || keep_link_open(&sup->keep, sock) < 0)
        _exit(1);
    triggers_init(&sup->triggers, sup);
    ipc_restore(in);
    (void)uv_run(&sup->loop, UV_RUN_DEFAULT);
    /* The app has closed its end. */
    ipc_close(in);
    _exit(0);
}

static pid_t start_supervisor(int *ret_sock)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
    pid_t pid = fork();
    if (pid == 0)
        supervise(ends[1]);
    (void)close(ends[1]);
    replay(ends[0]);
    *ret_sock = ends[0];
    return pid;
}

/* ---- the app --------------------------------------------------------------------------------- */

static void write_all(int fd, const char *bytes, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n <= 0)
            _exit(1);
        bytes += n;
        len -= (size_t)n;
    }
}

/* Numbered messages of any length; equal ones stand side by side, and each hundredth does not fit into the socket. */
static void talk(int fd, int count)
{
    char *line = xcalloc(1, 400 << 10);
    for (int i = 0; i < count; i++) {
        size_t len = (size_t)sprintf(line, "{\"n\":%d,\"fill\":\"", i / 2);
        size_t fill = i % 100 == 99 ? 300 << 10 : i % 10 == 9 ? 20 << 10 : (size_t)(i % 3);
        memset(line + len, 'x', fill);
        memcpy(line + len + fill, "\"}\n", 3);
        write_all(fd, line, len + fill + 3);
    }
    _exit(0);
}

static pid_t start_app(int count)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        (void)close(ends[0]);
        talk(ends[1], count);
    }
    (void)close(ends[1]);
    store("i0.ipc", ends[0]);
    return pid;
}

/* ---- the tests ------------------------------------------------------------------------------- */

static int set_up(void **state)
{
    slot = mmap(NULL, sizeof *slot, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    return slot == MAP_FAILED ? -1 : 0;
}

static int tear_down(void **state)
{
    for (int i = 0; i < STORED_MAX; i++)
        forget(&stored[i]);
    return munmap(slot, sizeof *slot);
}

static void each_message_counts_once_however_often_we_are_killed(void **state)
{
    enum { COUNT = 60000, KILLS_MAX = 5000 };
    pid_t app = start_app(COUNT);
    int kills = 0, status;
    unsigned seed = 7;
    for (; kills < KILLS_MAX && slot->ipc_received < COUNT; kills++) {
        int sock;
        pid_t pid = start_supervisor(&sock);
        (void)usleep((useconds_t)rand_r(&seed) % 3000);
        (void)kill(pid, SIGKILL);
        assert_int_equal(waitpid(pid, &status, 0), pid);
        listen_to(sock);
        (void)close(sock);
    }
    assert_int_equal(waitpid(app, &status, 0), app);
    assert_int_equal(status, 0);
    /* Whatever was under way at the last death. */
    int sock;
    pid_t pid = start_supervisor(&sock);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    listen_to(sock);
    (void)close(sock);
    assert_int_equal(slot->ipc_received, COUNT);
    print_message("%d kills\n", kills);
    assert_true(kills > 20);
    assert_null(find("i0.ipc"));
    assert_null(find("i0.ipc.part"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_message_counts_once_however_often_we_are_killed,
                                        set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
