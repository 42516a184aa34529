/* Processes that are not our children: a helper in between has started them and waits for them, as the keeper does. */
#include "supervisor/process.h"

#include "tests/unit/support.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "lib/base/procfs.h"
#include "lib/keep/keep.h"
#include "supervisor/slots.h"

static uv_loop_t loop;
static struct slot slot;
static unsigned ended_count;
static struct exit_status ended_how;
static int fds_before;

/* A parent that does not reap until it is told to. */
struct parent {
    pid_t pid;
    int order; /* a byte: reap */
    pid_t child;
};

static int set_up(void **state)
{
    ended_count = 0;
    ended_how = (struct exit_status){0};
    slot = (struct slot){.used = 1};
    if (uv_loop_init(&loop) < 0)
        return -1;
    fds_before = count_fds();
    return 0;
}

static int tear_down(void **state)
{
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(count_fds(), fds_before);
    return uv_loop_close(&loop);
}

static void on_ended(void *arg, struct exit_status status)
{
    assert_string_equal(arg, "arg");
    /* The record is there before anybody acts. */
    assert_int_equal(slot.exit.count, ended_count + 1);
    assert_int_equal(slot.pid, 0);
    ended_count++;
    ended_how = status;
}

static void run_child(const char *command)
{
    (void)setsid();
    (void)execl("/bin/sh", "sh", "-c", command, NULL);
    _exit(99);
}

static struct parent start_other(const char *command)
{
    int up[2], down[2];
    struct parent p;
    assert_int_equal(pipe2(up, O_CLOEXEC), 0);
    assert_int_equal(pipe2(down, O_CLOEXEC), 0);
    p.pid = fork();
    if (p.pid == 0) {
        char byte;
        pid_t child = fork();
        if (child == 0)
            run_child(command);
        (void)close(down[1]);
        (void)!write(up[1], &child, sizeof child);
        (void)!read(down[0], &byte, 1);
        (void)waitpid(child, NULL, 0);
        (void)!write(up[1], "r", 1);
        (void)!read(down[0], &byte, 1);
        _exit(0);
    }
    assert_int_equal(read(up[0], &p.child, sizeof p.child), sizeof p.child);
    p.order = down[1];
    (void)close(up[0]);
    (void)close(up[1]);
    (void)close(down[0]);
    return p;
}

static void end_other(struct parent *p)
{
    (void)close(p->order);
    (void)kill(p->pid, SIGKILL);
    assert_int_equal(waitpid(p->pid, NULL, 0), p->pid);
    (void)kill(p->child, SIGKILL);
}

static int pidfd_of(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0);
}

static void turn_for(int ms)
{
    struct timespec step = {.tv_nsec = 5000000};
    for (int i = 0; i < ms / 5; i++) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        (void)nanosleep(&step, NULL);
    }
}

static void wait_ended(int ms)
{
    struct timespec step = {.tv_nsec = 5000000};
    for (int i = 0; i < ms / 5 && ended_count == 0; i++) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        (void)nanosleep(&step, NULL);
    }
    assert_int_equal(ended_count, 1);
}

static struct process *adopt(pid_t pid, int pidfd)
{
    slot.pid = pid;
    return process_adopt(&loop, pid, pidfd, &slot, on_ended, (void *)"arg");
}

static void our_own_child_ends(void **state)
{
    pid_t pid = fork();
    if (pid == 0)
        run_child("exit 7");
    slot.pid = pid;
    assert_non_null(process_watch(&loop, pid, pidfd_of(pid), &slot, on_ended, (void *)"arg"));
    assert_true(slot.start_ticks > 0);
    wait_ended(5000);
    assert_int_equal(ended_how.code, 7);
    assert_false(ended_how.by_signal);
    assert_int_equal(slot.exit.pid, pid);
    assert_int_equal(slot.exit.code, 7);
    assert_int_equal(slot.exit.flags, 0);
    assert_int_equal(slot.start_ticks, 0);
    assert_no_child();
}

static void the_keeper_tells_the_end_of_another_ones_child(void **state)
{
    struct parent other = start_other("exec sleep 60");
    (void)adopt(other.child, pidfd_of(other.child));
    assert_true(slot.start_ticks > 0);
    turn_for(50);
    /* Of an earlier process with the same number. */
    assert_false(process_keeper_exit(other.child, (struct exit_status){.code = 1}));
    assert_false(process_keeper_exit(other.child + 1, (struct exit_status){.code = 1}));
    assert_int_equal(kill(other.child, SIGTERM), 0);
    turn_for(50);
    assert_int_equal(ended_count, 0);
    const struct keep_msg msg = {.code = CLD_KILLED, .status = SIGTERM};
    assert_true(process_keeper_exit(other.child, process_status_of(&msg)));
    assert_int_equal(ended_count, 1);
    assert_true(ended_how.by_signal);
    assert_int_equal(ended_how.code, SIGTERM);
    assert_int_equal(slot.exit.flags, SLOT_EXIT_SIGNAL);
    assert_false(process_keeper_exit(other.child, process_status_of(&msg)));
    assert_int_equal(ended_count, 1);
    end_other(&other);
}

static void the_keeper_may_be_first(void **state)
{
    struct parent other = start_other("exit 3");
    int pidfd = pidfd_of(other.child);
    turn_for(100);
    (void)adopt(other.child, pidfd);
    const struct keep_msg msg = {.code = CLD_EXITED, .status = 3};
    assert_true(process_keeper_exit(other.child, process_status_of(&msg)));
    assert_int_equal(ended_how.code, 3);
    end_other(&other);
}

static void one_that_has_ended_before_gets_its_status_too(void **state)
{
    (void)adopt(4000000, -1);
    turn_for(50);
    assert_int_equal(ended_count, 0);
    assert_true(process_keeper_exit(4000000, (struct exit_status){.code = 5}));
    assert_int_equal(ended_how.code, 5);
}

static void without_anybody_who_knows_the_status_is_unknown(void **state)
{
    (void)adopt(4000000, -1);
    turn_for(2000);
    assert_int_equal(ended_count, 0);
    wait_ended(5000);
    assert_true(ended_how.unknown);
    assert_int_equal(slot.exit.flags, SLOT_EXIT_UNKNOWN);
    assert_non_null(strstr(exit_status_text(&ended_how), "not known"));
}

/* On a kernel that cannot tell, it is unknown. */
static void the_kernel_tells_what_nobody_else_does(void **state)
{
    struct parent other = start_other("exec sleep 60");
    (void)adopt(other.child, pidfd_of(other.child));
    assert_int_equal(kill(other.child, SIGUSR1), 0);
    turn_for(100);
    assert_int_equal(ended_count, 0);
    assert_int_equal(write(other.order, "x", 1), 1);
    wait_ended(5000);
    assert_true(ended_how.unknown || (ended_how.by_signal && ended_how.code == SIGUSR1));
    if (ended_how.unknown)
        print_message("this kernel does not tell how a process ended\n");
    end_other(&other);
}

static void one_that_is_abandoned_says_nothing(void **state)
{
    struct parent other = start_other("exec sleep 60");
    process_abandon(adopt(other.child, pidfd_of(other.child)));
    assert_int_equal(kill(other.child, SIGKILL), 0);
    assert_false(process_keeper_exit(other.child, (struct exit_status){.code = 1}));
    process_abandon(adopt(4000000, -1));
    turn_for(50);
    assert_int_equal(ended_count, 0);
    end_other(&other);
}

static void a_process_is_known_by_number_and_start(void **state)
{
    struct proc_stat st;
    struct parent other = start_other("exec sleep 60");
    assert_int_equal(procfs_stat(other.child, &st), 0);
    int pidfd = process_open(other.child, st.start_ticks);
    assert_true(pidfd >= 0);
    assert_true(process_is(pidfd, other.child));
    assert_false(process_is(pidfd, other.child + 1));
    assert_false(process_is(0, other.child));
    (void)close(pidfd);
    assert_int_equal(process_open(other.child, st.start_ticks + 1), -1);
    assert_int_equal(process_open(0, 0), -1);
    assert_int_equal(process_open(4000000, 1), -1);
    end_other(&other);
}

/* Its status is not there yet, but it is no process that does not end. */
static void a_zombie_of_a_slow_parent_has_ended(void **state)
{
    struct parent other = start_other("exec sleep 60");
    struct process *p = adopt(other.child, pidfd_of(other.child));
    assert_false(process_has_ended(p));
    assert_int_equal(kill(other.child, SIGINT), 0);
    for (int i = 0; i < 200 && !process_has_ended(p); i++)
        turn_for(5);
    assert_true(process_has_ended(p));
    assert_int_equal(ended_count, 0);
    process_abandon(p);
    end_other(&other);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(our_own_child_ends),
        RUN(the_keeper_tells_the_end_of_another_ones_child),
        RUN(the_keeper_may_be_first),
        RUN(one_that_has_ended_before_gets_its_status_too),
        RUN(without_anybody_who_knows_the_status_is_unknown),
        RUN(the_kernel_tells_what_nobody_else_does),
        RUN(one_that_is_abandoned_says_nothing),
        RUN(a_zombie_of_a_slow_parent_has_ended),
        RUN(a_process_is_known_by_number_and_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
