#include "lib/base/procfs.h"

#include "tests/unit/support.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

/* A socket that listens on a port of the system's choice; -1 when the family is not there. */
static int listen_on(int family, unsigned *ret_port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    struct sockaddr *address = family == AF_INET ? (struct sockaddr *)&v4 : (struct sockaddr *)&v6;
    socklen_t len = family == AF_INET ? sizeof v4 : sizeof v6;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, address, len) < 0 || listen(fd, 5) < 0 ||
        getsockname(fd, address, &len) < 0) {
        if (fd >= 0)
            (void)close(fd);
        return -1;
    }
    *ret_port = ntohs(family == AF_INET ? v4.sin_port : v6.sin6_port);
    return fd;
}

/* A child that is in a group of its own, listens and waits until it is killed. */
static pid_t start_listener(unsigned *ret_port)
{
    int fds[2];
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        unsigned port = 0;
        (void)setpgid(0, 0);
        int fd = listen_on(AF_INET, &port);
        (void)!write(fds[1], &port, sizeof port);
        for (;;)
            pause();
        (void)close(fd);
    }
    assert_true(pid > 0);
    assert_int_equal(read(fds[0], ret_port, sizeof *ret_port), sizeof *ret_port);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return pid;
}

static void stop(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    assert_no_child();
}

/* Which process of the group listens there, by the table of all its ports. */
static pid_t group_listener(pid_t pgid, unsigned port)
{
    struct proc_port ports[64];
    size_t count = procfs_group_ports(pgid, pgid, ports, ARRAY_SIZE(ports));
    for (size_t i = 0; i < count; i++)
        if (ports[i].port == port)
            return ports[i].pid;
    return 0;
}

static void finds_its_own_listening_port(void **state)
{
    static const int families[] = {AF_INET, AF_INET6};
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        unsigned port;
        int fd = listen_on(families[i], &port);
        if (fd < 0)
            continue;
        assert_int_equal(procfs_listens(getpid(), port), 1);
        assert_int_equal(group_listener(getpgrp(), port), getpid());
        (void)close(fd);
        assert_int_equal(procfs_listens(getpid(), port), 0);
        assert_int_equal(group_listener(getpgrp(), port), 0);
    }
}

static void a_connection_is_no_listening_port(void **state)
{
    unsigned port;
    int listener = listen_on(AF_INET, &port);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                             .sin_port = htons((uint16_t)port)};
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(client, (struct sockaddr *)&to, sizeof to), 0);
    int server = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    (void)close(listener);
    assert_true(server >= 0);
    assert_int_equal(procfs_listens(getpid(), port), 0);
    (void)close(server);
    (void)close(client);
}

static void the_port_of_another_process_is_not_ours(void **state)
{
    unsigned port = 0;
    pid_t child = start_listener(&port);
    assert_int_equal(procfs_listens(child, port), 1);
    assert_int_equal(procfs_listens(getpid(), port), 0);
    assert_int_equal(group_listener(child, port), child);
    assert_int_equal(group_listener(getpgrp(), port), 0);
    stop(child);
    assert_true(procfs_listens(child, port) <= 0);
    assert_int_equal(group_listener(child, port), 0);
}

static void on_signal(int sig)
{
}

static void knows_which_signals_have_a_handler(void **state)
{
    const int signals[] = {SIGHUP, SIGUSR1, SIGTERM, SIGRTMAX};
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        assert_int_equal(procfs_catches(getpid(), signals[i]), 0);
        (void)signal(signals[i], SIG_IGN);
        assert_int_equal(procfs_catches(getpid(), signals[i]), 0);
        (void)signal(signals[i], on_signal);
        assert_int_equal(procfs_catches(getpid(), signals[i]), 1);
        (void)signal(signals[i], SIG_DFL);
        assert_int_equal(procfs_catches(getpid(), signals[i]), 0);
    }
}

static void a_user_of_many_groups_hides_nothing(void **state)
{
    static gid_t groups[3000];
    int fds[2];
    char byte;
    if (getuid() != 0)
        skip(); /* only root may give groups */
    for (int i = 0; i < 3000; i++)
        groups[i] = 1000000000u + (gid_t)i;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        bool done = setgroups(ARRAY_SIZE(groups), groups) == 0;
        (void)signal(SIGUSR1, on_signal);
        (void)!write(fds[1], done ? "y" : "n", 1);
        for (;;)
            pause();
    }
    assert_int_equal(read(fds[0], &byte, 1), 1);
    (void)close(fds[0]);
    (void)close(fds[1]);
    if (byte == 'y')
        assert_int_equal(procfs_catches(child, SIGUSR1), 1);
    stop(child);
}

static void reads_identity_and_family(void **state)
{
    struct proc_stat st, again;
    uid_t uid;
    gid_t gid;
    assert_int_equal(procfs_stat(getpid(), &st), 0);
    assert_int_equal(st.ppid, getppid());
    assert_int_equal(st.pgrp, getpgrp());
    assert_true(st.rss_bytes > 100000 && st.start_ticks > 0 && st.threads >= 1);
    assert_int_equal(procfs_ids(getpid(), &uid, &gid), 0);
    assert_int_equal(uid, getuid());
    assert_int_equal(gid, getgid());
    pid_t child = fork();
    if (child == 0)
        for (;;)
            pause();
    assert_int_equal(procfs_stat(child, &again), 0);
    assert_true(again.start_ticks >= st.start_ticks);
    assert_true(procfs_descends(child, getpid()) && procfs_descends(child, getppid()));
    assert_true(procfs_descends(getpid(), getpid()));
    assert_false(procfs_descends(getpid(), child));
    assert_true(procfs_same_program(getpid(), child));
    stop(child);
    assert_false(procfs_descends(child, getpid()));
    assert_false(procfs_same_program(getpid(), child));
}

static void another_program_is_another_program(void **state)
{
    int fds[2];
    char byte;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t child = fork();
    if (child == 0) {
        (void)execl("/bin/sleep", "sleep", "60", (char *)NULL);
        _exit(1);
    }
    (void)close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 0); /* it has exec'ed */
    (void)close(fds[0]);
    assert_false(procfs_same_program(getpid(), child));
    stop(child);
}

static void a_program_may_have_any_name(void **state)
{
    struct proc_stat before, st;
    char name[16] = "";
    assert_int_equal(prctl(PR_GET_NAME, name), 0);
    assert_int_equal(procfs_stat(getpid(), &before), 0);
    static const char *const names[] = {") R 1 1 1", "((", "a) Z (b\n", ""};
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        assert_int_equal(prctl(PR_SET_NAME, names[i]), 0);
        assert_int_equal(procfs_stat(getpid(), &st), 0);
        assert_int_equal(st.state, 'R');
        assert_int_equal(st.ppid, before.ppid);
        assert_int_equal(st.start_ticks, before.start_ticks);
    }
    assert_int_equal(prctl(PR_SET_NAME, name), 0);
}

static void a_process_that_is_gone_is_an_error(void **state)
{
    struct proc_stat st;
    struct proc_meter m;
    uint64_t rss;
    double cpu;
    uid_t uid;
    gid_t gid;
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    assert_int_equal(waitid(P_PID, (id_t)child, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
    assert_int_equal(procfs_stat(child, &st), 0);
    assert_int_equal(st.state, 'Z');
    proc_meter_init(&m);
    assert_int_equal(proc_meter_open(&m, child), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_true(procfs_stat(child, &st) < 0);
    assert_true(procfs_catches(child, SIGUSR1) < 0);
    assert_true(procfs_ids(child, &uid, &gid) < 0);
    assert_true(proc_meter_read(&m, &rss, &cpu) < 0);
    proc_meter_clear(&m);
    assert_true(proc_meter_read(&m, &rss, &cpu) < 0);
    assert_true(proc_meter_open(&m, child) < 0);
    assert_no_child();
}

static uint64_t now_ms(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void measures_cpu_between_two_readings(void **state)
{
    struct proc_meter m;
    uint64_t rss;
    double cpu;
    proc_meter_init(&m);
    assert_int_equal(proc_meter_open(&m, getpid()), 0);
    assert_int_equal(proc_meter_read(&m, &rss, &cpu), 0);
    assert_true(rss > 100000 && cpu >= 0 && cpu < 250);
    uint64_t wall = now_ms(CLOCK_MONOTONIC), used = now_ms(CLOCK_PROCESS_CPUTIME_ID);
    while (now_ms(CLOCK_PROCESS_CPUTIME_ID) < used + 200)
        continue;
    assert_int_equal(proc_meter_read(&m, &rss, &cpu), 0);
    double expected = 100.0 * 200 / (double)(now_ms(CLOCK_MONOTONIC) - wall);
    assert_true(cpu > expected * 0.7 && cpu < expected * 1.4);
    (void)usleep(100000);
    assert_int_equal(proc_meter_read(&m, &rss, &cpu), 0);
    assert_true(cpu < 40);
    proc_meter_clear(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_its_own_listening_port),
        cmocka_unit_test(a_connection_is_no_listening_port),
        cmocka_unit_test(the_port_of_another_process_is_not_ours),
        cmocka_unit_test(knows_which_signals_have_a_handler),
        cmocka_unit_test(a_user_of_many_groups_hides_nothing),
        cmocka_unit_test(reads_identity_and_family),
        cmocka_unit_test(another_program_is_another_program),
        cmocka_unit_test(a_program_may_have_any_name),
        cmocka_unit_test(a_process_that_is_gone_is_an_error),
        cmocka_unit_test(measures_cpu_between_two_readings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
