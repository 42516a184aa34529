#include "lib/base/spawn.h"

#include "tests/unit/support.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>

/* ---- this program as the child --------------------------------------------------------------- */

static void report_status(const char *name)
{
    char line[256];
    AUTOFCLOSE FILE *f = fopen("/proc/self/status", "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, name, strlen(name)) == 0)
            printf("%s", line);
}

static void report_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(dir))
            printf("fd %s\n", entry->d_name);
    (void)closedir(dir);
}

/* What the parent asks for, one letter each. */
static int report(const char *what)
{
    char text[4096];
    struct rlimit limit;
    for (; *what; what++) {
        if (*what == 'p')
            printf("pid %d sid %d pgrp %d\n", (int)getpid(), (int)getsid(0), (int)getpgrp());
        if (*what == 's')
            report_status("SigBlk"), report_status("SigIgn");
        if (*what == 'f')
            report_fds();
        if (*what == 'd')
            printf("cwd %s\n", getcwd(text, sizeof text));
        int with_parent = -1;
        if (*what == 'k' && prctl(PR_GET_PDEATHSIG, &with_parent) == 0)
            printf("ends by signal %d\n", with_parent);
        if (*what == 'n' && getrlimit(RLIMIT_NOFILE, &limit) == 0)
            printf("nofile %lu\n", (unsigned long)limit.rlim_cur);
        if (*what >= '0' && *what <= '9') {
            ssize_t n = pread(*what - '0', text, sizeof text, 0);
            printf("%c holds %.*s\n", *what, n > 0 ? (int)n : 0, text);
        }
    }
    return 0;
}

/* ---- running it ------------------------------------------------------------------------------ */

static char self[4096];
static char *argv_of_child[] = {self, (char *)"report", NULL, NULL};
static char *envp_of_child[] = {(char *)"HOME=/", NULL};
static pid_t slot;

static struct spawn spec(const char *what)
{
    argv_of_child[2] = (char *)what;
    return (struct spawn){.file = self,
                          .argv = argv_of_child,
                          .envp = envp_of_child,
                          .fds = {-1, -1, STDERR_FILENO},
                          .fd_count = 3,
                          .pid_slot = &slot};
}

static void assert_ended_well(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_no_child();
}

/* Starts it with its descriptor 1 in a pipe; what it wrote is in `out`. */
static pid_t run(struct spawn *s, struct buf *out)
{
    int fds[2], pidfd = -1;
    pid_t pid = 0;
    enum spawn_step step;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    s->fds[1] = fds[1];
    assert_int_equal(spawn_start(s, &pid, &pidfd, &step), 0);
    (void)close(fds[1]);
    assert_int_equal(slot, pid);
    assert_int_equal(fcntl(pidfd, F_GETFD), FD_CLOEXEC);
    char text[4096];
    for (ssize_t n; (n = read(fds[0], text, sizeof text)) > 0;)
        assert_int_equal(buf_add(out, text, (size_t)n), 0);
    (void)close(fds[0]);
    (void)close(pidfd);
    assert_ended_well(pid);
    return pid;
}

/* ---- the tests ------------------------------------------------------------------------------- */

static void the_child_writes_its_own_pid_into_the_slot(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(10000);
    struct spawn s = spec("p");
    pid_t *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    int pid, sid, pgrp;
    assert_true(shared != MAP_FAILED);
    s.pid_slot = shared;
    slot = 0;
    int pidfd;
    enum spawn_step step;
    assert_int_equal(spawn_start(&s, &pid, &pidfd, &step), 0);
    assert_int_equal(*shared, pid);
    (void)close(pidfd);
    assert_ended_well(pid);
    (void)munmap(shared, 4096);

    s.pid_slot = &slot;
    pid_t started = run(&s, &out);
    assert_int_equal(sscanf(buf_str(&out), "pid %d sid %d pgrp %d", &pid, &sid, &pgrp), 3);
    assert_int_equal(pid, started);
    assert_int_equal(sid, getsid(0));
    assert_int_equal(pgrp, getpgrp());
}

static void a_new_session_is_its_own(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(10000);
    struct spawn s = spec("p");
    int pid, sid, pgrp;
    s.new_session = true;
    pid_t started = run(&s, &out);
    assert_int_equal(sscanf(buf_str(&out), "pid %d sid %d pgrp %d", &pid, &sid, &pgrp), 3);
    assert_int_equal(sid, started);
    assert_int_equal(pgrp, started);
}

static void may_end_with_us(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(10000);
    struct spawn s = spec("k");
    s.dies_with_us = true;
    (void)run(&s, &out);
    s.dies_with_us = false;
    (void)run(&s, &out);
    assert_string_equal(buf_str(&out), "ends by signal 9\nends by signal 0\n");
}

static void descriptors_land_where_told_whatever_their_numbers(void **state)
{
    /* Files whose numbers lie among the targets 3 to 6, so that each copy could overwrite another
     * source. */
    int fds[4];
    for (int i = 0; i < 4; i++) {
        fds[i] = memfd_create("test", MFD_CLOEXEC);
        assert_in_range(fds[i], 3, 9);
        assert_int_equal(dprintf(fds[i], "file %d", i), 6);
    }
    for (int shift = 0; shift < 4; shift++) {
        AUTOBUF struct buf out = BUF_INIT(10000);
        struct spawn s = spec("3456");
        for (int i = 0; i < 4; i++)
            s.fds[3 + i] = fds[(i + shift) % 4];
        s.fd_count = 7;
        (void)run(&s, &out);
        for (int i = 0; i < 4; i++) {
            AUTOFREE char *line = xasprintf("%d holds file %d\n", 3 + i, (i + shift) % 4);
            assert_non_null(strstr(buf_str(&out), line));
        }
    }
    /* One source several times, and exchanged with standard input. */
    AUTOBUF struct buf out = BUF_INIT(10000);
    struct spawn s = spec("034");
    s.fds[0] = s.fds[3] = fds[2];
    s.fds[4] = -1;
    s.fd_count = 5;
    (void)run(&s, &out);
    assert_string_equal(buf_str(&out), "0 holds file 2\n3 holds file 2\n4 holds \n");
    for (int i = 0; i < 4; i++)
        (void)close(fds[i]);
}

static void no_descriptor_of_ours_is_in_the_child(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(10000);
    struct spawn s = spec("f");
    /* Not close-on-exec, as a library may have opened them. */
    int low = dup(STDERR_FILENO), high = fcntl(STDERR_FILENO, F_DUPFD, 200);
    s.fd_count = 4;
    s.fds[3] = -1;
    (void)run(&s, &out);
    assert_string_equal(buf_str(&out), "fd 0\nfd 1\nfd 2\nfd 3\n");
    (void)close(low);
    (void)close(high);
}

static void signals_are_default_and_unblocked_in_the_child(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(10000);
    struct spawn s = spec("s");
    sigset_t all, before, after;
    (void)sigfillset(&all);
    for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
        assert_true(signal(sig, SIG_IGN) != SIG_ERR);
    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR && signal(SIGUSR1, SIG_IGN) != SIG_ERR);
    assert_int_equal(sigprocmask(SIG_SETMASK, &all, &before), 0);
    (void)run(&s, &out);
    assert_int_equal(sigprocmask(SIG_SETMASK, &before, &after), 0);
    unsigned long long blocked, ignored;
    assert_int_equal(sscanf(buf_str(&out), "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
    assert_int_equal(blocked, 0);
    assert_int_equal(ignored, 0);
    /* And ours are as they were. */
    assert_int_equal(sigismember(&after, SIGTERM), 1);
    assert_true(signal(SIGUSR1, SIG_DFL) == SIG_IGN);
    assert_true(signal(SIGPIPE, SIG_DFL) == SIG_IGN);
    for (int sig = SIGRTMIN; sig <= SIGRTMAX; sig++)
        (void)signal(sig, SIG_DFL);
}

static void the_working_directory_is_the_one_told(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(10000);
    AUTOFREE char *expected = xasprintf("cwd %s\n", folder);
    AUTOFREE char *before = getcwd(NULL, 0);
    struct spawn s = spec("d");
    s.cwd = folder;
    (void)run(&s, &out);
    assert_string_equal(buf_str(&out), expected);
    AUTOFREE char *after = getcwd(NULL, 0);
    assert_string_equal(before, after);
}

static void the_limit_of_descriptors_is_restored(void **state)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    rlim_t soft = limit.rlim_cur;
    assert_int_equal(spawn_raise_nofile(), soft);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
    assert_int_equal(spawn_raise_nofile(), soft);

    AUTOBUF struct buf out = BUF_INIT(10000);
    struct spawn s = spec("n");
    s.nofile_soft = 77;
    (void)run(&s, &out);
    assert_string_equal(buf_str(&out), "nofile 77\n");
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, limit.rlim_max);
    /* More than the hard limit is the hard limit; 0 is ours. */
    buf_reset(&out);
    s.nofile_soft = ULONG_MAX;
    (void)run(&s, &out);
    s.nofile_soft = 0;
    (void)run(&s, &out);
    AUTOFREE char *both = xasprintf("nofile %lu\nnofile %lu\n", (unsigned long)limit.rlim_max,
                                    (unsigned long)limit.rlim_max);
    assert_string_equal(buf_str(&out), both);
}

static void assert_fails(const struct spawn *s, int error, enum spawn_step expected)
{
    pid_t pid = 77;
    int pidfd = 77, before = count_fds();
    enum spawn_step step;
    slot = 77;
    assert_int_equal(spawn_start(s, &pid, &pidfd, &step), error);
    assert_int_equal(step, expected);
    assert_int_equal(pid, 77);
    assert_int_equal(pidfd, 77);
    assert_int_equal(slot, 0);
    assert_int_equal(count_fds(), before);
    assert_no_child();
}

static void a_failure_names_the_step_and_leaves_no_child(void **state)
{
    AUTOFREE char *text = in_folder("text");
    put_file(text, "no program\n");
    struct spawn s = spec("p");
    s.cwd = "/no/such/folder";
    assert_fails(&s, -ENOENT, SPAWN_CWD);
    s.cwd = text;
    assert_fails(&s, -ENOTDIR, SPAWN_CWD);
    s.cwd = NULL;
    s.file = "/no/such/program";
    assert_fails(&s, -ENOENT, SPAWN_EXEC);
    s.file = text;
    assert_fails(&s, -EACCES, SPAWN_EXEC);
    s.file = self;
    s.fds[2] = 9999;
    assert_fails(&s, -EBADF, SPAWN_FDS);
    s.fds[2] = -1;
    s.pid_slot = NULL;
    slot = 0;
    s.file = folder;
    pid_t pid;
    int pidfd;
    enum spawn_step step;
    assert_int_equal(spawn_start(&s, &pid, &pidfd, &step), -EACCES);
    s.fd_count = SPAWN_FDS_MAX + 1;
    assert_int_equal(spawn_start(&s, &pid, &pidfd, &step), -EINVAL);
    assert_int_equal(step, SPAWN_CLONE);
    assert_no_child();
}

static void every_step_has_a_text(void **state)
{
    for (int step = SPAWN_CLONE; step <= SPAWN_EXEC; step++)
        assert_int_equal(strncmp(spawn_step_text((enum spawn_step)step), "cannot ", 7), 0);
    assert_string_equal(spawn_step_text(SPAWN_EXEC), "cannot run the program");
}

static void becomes_another_user(void **state)
{
    struct spawn s = spec("p");
    char *argv[] = {(char *)"sh", (char *)"-c", (char *)"id -u; id -g; id -G", NULL};
    static const gid_t groups[] = {65533, 65532};
    s.set_ids = true;
    s.uid = s.gid = 65534;
    s.groups = groups;
    s.group_count = 2;
    if (getuid() != 0) {
        assert_fails(&s, -EPERM, SPAWN_IDS);
        return;
    }
    AUTOBUF struct buf out = BUF_INIT(10000);
    s.file = "/bin/sh";
    s.argv = argv;
    (void)run(&s, &out);
    int uid, gid, own, one, two;
    assert_int_equal(sscanf(buf_str(&out), "%d %d %d %d %d", &uid, &gid, &own, &one, &two), 5);
    assert_int_equal(uid, 65534);
    assert_int_equal(gid, 65534);
    assert_int_equal(own, 65534);
    assert_int_equal(one + two, 65533 + 65532);
    assert_int_equal(getuid(), 0);
}

static void works_from_a_process_with_much_memory(void **state)
{
    size_t size = 256u << 20;
    char *big = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(big != MAP_FAILED);
    memset(big, 1, size);
    for (int i = 0; i < 10; i++) {
        AUTOBUF struct buf out = BUF_INIT(10000);
        struct spawn s = spec("d");
        (void)run(&s, &out);
        assert_true(out.len > 0);
    }
    assert_int_equal(big[size - 1], 1);
    (void)munmap(big, size);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "report") == 0)
        return report(argv[2]);
    if (readlink("/proc/self/exe", self, sizeof self - 1) < 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_child_writes_its_own_pid_into_the_slot),
        cmocka_unit_test(a_new_session_is_its_own),
        cmocka_unit_test(may_end_with_us),
        cmocka_unit_test(descriptors_land_where_told_whatever_their_numbers),
        cmocka_unit_test(no_descriptor_of_ours_is_in_the_child),
        cmocka_unit_test(signals_are_default_and_unblocked_in_the_child),
        IN_FOLDER(the_working_directory_is_the_one_told),
        cmocka_unit_test(the_limit_of_descriptors_is_restored),
        IN_FOLDER(a_failure_names_the_step_and_leaves_no_child),
        cmocka_unit_test(every_step_has_a_text),
        cmocka_unit_test(becomes_another_user),
        cmocka_unit_test(works_from_a_process_with_much_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
