/* One supervisor after the other over the same slots; what lies between is a sudden death. */
#include "supervisor/instance_keep.h"

#include "tests/unit/bare_supervisor.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/base/procfs.h"
#include "lib/base/str.h"

static struct supervisor sup;
static int slots_fd;
static struct instance *in;

static void begin(void)
{
    struct app_spec spec;
    struct strlist env = {0};
    assert_int_equal(bare_open(&sup), 0);
    slots_close(&sup.slots);
    assert_int_equal(slots_open(&sup.slots, "", fcntl(slots_fd, F_DUPFD_CLOEXEC, 0)), 0);
    sup.home = folder;
    app_spec_init(&spec);
    spec.name = xstrdup("web");
    spec.script = xstrdup("/bin/true");
    spec.interpreter = xstrdup("none");
    spec.cwd = xstrdup("/");
    spec.autorestart = false;
    in = instance_new(app_new(&sup, &spec, &env), 0, 7);
    assert_non_null(in->slot);
}

/* Nothing is tidied up as far as the next supervisor sees. */
static void die(void)
{
    in->slot = NULL;
    assert_int_equal(bare_close(&sup), 0);
}

static void next_life(void)
{
    die();
    begin();
    instance_restore(in);
}

static int set_up(void **state)
{
    if (make_folder(state) < 0)
        return -1;
    AUTOFREE char *logs = in_folder("logs");
    if (mkdir(logs, 0700) < 0)
        return -1;
    slots_fd = memfd_create("slots", MFD_CLOEXEC);
    begin();
    return 0;
}

static int tear_down(void **state)
{
    die();
    (void)close(slots_fd);
    return remove_folder(state);
}

static void turn_until(bool (*done)(void))
{
    struct timespec step = {.tv_nsec = 2000000};
    for (int i = 0; i < 3000 && !done(); i++) {
        (void)uv_run(&sup.loop, UV_RUN_NOWAIT);
        (void)nanosleep(&step, NULL);
    }
    assert_true(done());
}

/* A process as launch_process() starts them. */
static pid_t start_app(const char *app)
{
    int fds[2];
    char byte;
    AUTOFREE char *name = xasprintf("PROCTOR_APP=%s", app);
    AUTOFREE char *home = xasprintf("PROCTOR_HOME=%s", folder);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        char *const argv[] = {(char *)"sleep", (char *)"60", NULL};
        char *const env[] = {name, (char *)"PROCTOR_INSTANCE=0", home, NULL};
        (void)setsid();
        (void)execve("/bin/sleep", argv, env);
        _exit(1);
    }
    (void)close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 0); /* it has exec'ed */
    (void)close(fds[0]);
    return pid;
}

static void kill_app(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* ---- what it was ----------------------------------------------------------------------------- */

static void all_of_it_comes_back(void **state)
{
    in->state = INSTANCE_ERRORED;
    in->wanted = in->start_due = in->user_opens = true;
    in->restarts = 12;
    in->changes = 3;
    in->history = (struct restart_history){.created_ms = 1, .started_ms = 2, .unstable = 4};
    in->created_wall_ms = 5;
    in->started_wall_ms = 6;
    in->kill_at_ms = 7;
    in->wait_until_ms = 8;
    in->err_from = 9;
    in->pgid = 10;
    in->runtime = (struct runtime_version){.is_node = true, .major = 20, .minor = 1, .patch = 2};
    in->last_exit = (struct exit_record){.set = true,
                                         .status = {.by_signal = true, .core = true, .code = 11},
                                         .at_ms = 13,
                                         .uptime_ms = 14,
                                         .asked = true};
    instance_commit(in);
    next_life();
    assert_int_equal(in->state, INSTANCE_ERRORED);
    assert_true(in->wanted && in->start_due && in->user_opens);
    assert_false(in->again || in->delete_when_stopped || in->sweeping || in->asked_to_go);
    assert_int_equal(in->restarts, 12);
    assert_int_equal(in->changes, 3);
    assert_int_equal(in->history.unstable, 4);
    assert_int_equal(in->history.started_ms, 2);
    assert_int_equal(in->created_wall_ms, 5);
    assert_int_equal(in->kill_at_ms, 7);
    assert_int_equal(in->wait_until_ms, 8);
    assert_int_equal(in->err_from, 9);
    assert_int_equal(in->pgid, 10);
    assert_int_equal(in->runtime.major, 20);
    assert_true(in->last_exit.set && in->last_exit.asked && in->last_exit.status.by_signal);
    assert_int_equal(in->last_exit.status.code, 11);
    assert_int_equal(in->last_exit.uptime_ms, 14);
    assert_null(in->process);
}

static void one_that_was_never_written_is_as_it_is_declared(void **state)
{
    struct slot_life life;
    memset(in->slot->sides, 0, sizeof in->slot->sides);
    next_life();
    assert_int_equal(in->state, INSTANCE_STOPPED);
    assert_int_equal(slot_life(in->slot, &life), 0);
}

static void damage_harms_nothing_but_the_counts(void **state)
{
    struct proc_stat st;
    pid_t pid = start_app("web");
    assert_int_equal(procfs_stat(pid, &st), 0);
    in->state = INSTANCE_ONLINE;
    in->restarts = 3;
    instance_commit(in);
    in->slot->pid = pid;
    in->slot->start_ticks = st.start_ticks;
    memset(&in->slot->exit, 0x5a, sizeof in->slot->exit);
    memset(in->slot->sides, 0x5a, sizeof in->slot->sides);
    in->slot->current = 0x5a5a5a5a;
    next_life();
    assert_int_equal(instance_pid(in), pid);
    assert_int_equal(in->state, INSTANCE_LAUNCHING);
    assert_int_equal(in->restarts, 0);
    instance_resume(in);
    assert_int_equal(instance_pid(in), pid);
    /* A record that is of another process is no end of this one. */
    in->slot->exit.count += 5;
    next_life();
    assert_int_equal(instance_pid(in), pid);
    kill_app(pid);
}

/* ---- its process ----------------------------------------------------------------------------- */

static void a_process_is_adopted_by_number_and_start(void **state)
{
    struct proc_stat st;
    pid_t pid = start_app("anything");
    assert_int_equal(procfs_stat(pid, &st), 0);
    in->state = INSTANCE_ONLINE;
    instance_commit(in);
    in->slot->pid = pid;
    in->slot->start_ticks = st.start_ticks;
    next_life();
    assert_int_equal(instance_pid(in), pid);
    assert_true(in->process->pidfd >= 0);
    assert_int_equal(in->pgid, pid);
    in->slot->start_ticks = st.start_ticks - 1;
    next_life();
    assert_int_equal(in->process->pidfd, -1); /* that one has ended */
    kill_app(pid);
}

static void one_without_a_start_time_is_known_by_its_environment(void **state)
{
    pid_t ours = start_app("web"), other = start_app("other");
    in->state = INSTANCE_LAUNCHING;
    instance_commit(in);
    in->slot->pid = ours;
    next_life();
    assert_true(in->process && in->process->pidfd >= 0);
    assert_true(in->slot->start_ticks > 0);
    in->slot->pid = other;
    in->slot->start_ticks = 0;
    next_life();
    assert_int_equal(in->process->pidfd, -1);
    kill_app(ours);
    kill_app(other);
}

/* ---- going on -------------------------------------------------------------------------------- */

static void record_exit(pid_t pid, int code)
{
    in->slot->exit.pid = pid;
    in->slot->exit.code = code;
    in->slot->exit.at_ms = loop_wall_ms();
    in->slot->exit.count++;
}

static void an_exit_that_was_not_handled_is_handled_once(void **state)
{
    in->state = INSTANCE_ONLINE;
    in->wanted = true;
    instance_commit(in);
    in->slot->pid = 4000000;
    record_exit(4000000, 9);
    for (int i = 0; i < 3; i++) {
        next_life();
        assert_int_equal(in->slot->pid, 0);
        assert_null(in->process);
        instance_resume(in);
        assert_int_equal(in->state, INSTANCE_STOPPED);
        assert_int_equal(in->last_exit.status.code, 9);
        assert_int_equal(in->exits_handled, 1);
        assert_true(in->wanted);
    }
}

static void a_restart_is_counted_with_its_state(void **state)
{
    in->app->spec.autorestart = true;
    in->app->spec.restart_delay_ms = 60000;
    uv_update_time(&sup.loop);
    in->history.started_ms = in->history.created_ms = (int64_t)uv_now(&sup.loop) - 5000;
    in->state = INSTANCE_ONLINE;
    instance_commit(in);
    record_exit(4000000, 1);
    instance_resume(in);
    assert_int_equal(in->state, INSTANCE_WAITING);
    int64_t until_ms = in->wait_until_ms;
    for (int i = 0; i < 3; i++) {
        next_life();
        assert_int_equal(in->restarts, 1);
        assert_int_equal(in->state, INSTANCE_WAITING);
        instance_resume(in);
        assert_int_equal(in->restarts, 1);
        assert_int_equal(in->wait_until_ms, until_ms);
        int64_t left_ms = (int64_t)uv_timer_get_due_in(&in->timer);
        assert_in_range(left_ms, 50000, 60000);
    }
}

static void an_exit_long_ago_is_not_taken_for_a_long_life(void **state)
{
    uv_update_time(&sup.loop);
    in->history.started_ms = (int64_t)uv_now(&sup.loop) - 10000;
    in->state = INSTANCE_ONLINE;
    instance_commit(in);
    record_exit(4000000, 1);
    in->slot->exit.at_ms -= 9500;
    instance_resume(in);
    assert_in_range(in->last_exit.uptime_ms, 400, 600);
    /* A clock that was set meanwhile makes no nonsense of it. */
    in->state = INSTANCE_ONLINE;
    record_exit(4000000, 1);
    in->slot->exit.at_ms -= 86400000;
    instance_resume(in);
    assert_int_equal(in->last_exit.uptime_ms, 0);
    in->state = INSTANCE_ONLINE;
    record_exit(4000000, 1);
    in->slot->exit.at_ms -= 86400000;
    sup.keep.last_ended_ms = (int64_t)uv_now(&sup.loop) - 3000;
    instance_resume(in);
    assert_in_range(in->last_exit.uptime_ms, 6900, 8000);
    in->state = INSTANCE_ONLINE;
    record_exit(4000000, 1);
    in->slot->exit.at_ms += 86400000;
    instance_resume(in);
    assert_in_range(in->last_exit.uptime_ms, 9900, 11000);
}

static bool is_stopped(void)
{
    return in->state == INSTANCE_STOPPED;
}

static void a_launch_without_a_process_is_done_again(void **state)
{
    in->state = INSTANCE_LAUNCHING;
    in->restarts = 2;
    instance_commit(in);
    next_life();
    assert_null(in->process);
    instance_resume(in);
    turn_until(is_stopped);
    assert_int_equal(in->restarts, 2);
    assert_int_equal(in->slot->exit.count, 1);
    assert_int_equal(in->last_exit.status.code, 0);
    assert_no_child();
}

/* The start time of another process, that a death in the middle of its end has left, would hide the new one from the supervisor
 * that comes when this one dies before it has read the new one's. */
static void a_launch_begins_without_a_start_time(void **state)
{
    in->slot->start_ticks = 7;
    free(in->app->spec.script);
    in->app->spec.script = xstrdup("/nowhere/program");
    in->state = INSTANCE_LAUNCHING;
    instance_resume(in);
    assert_int_equal(in->state, INSTANCE_ERRORED);
    assert_int_equal(in->slot->start_ticks, 0);
}

static void children_that_have_not_told_their_pid_are_looked_for_once(void **state)
{
    in->state = INSTANCE_LAUNCHING;
    instance_commit(in);
    next_life();
    assert_true(sup.all_pids_written);
    instance_resume(in);
    turn_until(is_stopped);
}

static void a_start_that_is_due_is_done(void **state)
{
    in->wanted = true;
    instance_start_due(in);
    next_life();
    instance_resume(in);
    turn_until(is_stopped);
    assert_int_equal(in->slot->exit.count, 1);
    assert_false(in->start_due);
    next_life();
    instance_resume(in);
    assert_int_equal(in->state, INSTANCE_STOPPED);
    assert_int_equal(in->slot->exit.count, 1);
}

static void nothing_is_started_while_only_watching(void **state)
{
    in->state = INSTANCE_LAUNCHING;
    in->wanted = true;
    instance_commit(in);
    next_life();
    sup.safe = true;
    instance_resume(in);
    assert_int_equal(in->state, INSTANCE_WAITING);
    AUTOFREE char *why = instance_explain(in);
    assert_non_null(strstr(why, "proctor upgrade"));
    assert_false(uv_is_active((uv_handle_t *)&in->timer));
    next_life();
    in->app->spec.autorestart = false;
    instance_resume(in);
    turn_until(is_stopped);
    assert_int_equal(in->slot->exit.count, 1);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(all_of_it_comes_back),
        RUN(one_that_was_never_written_is_as_it_is_declared),
        RUN(damage_harms_nothing_but_the_counts),
        RUN(a_process_is_adopted_by_number_and_start),
        RUN(one_without_a_start_time_is_known_by_its_environment),
        RUN(an_exit_that_was_not_handled_is_handled_once),
        RUN(a_restart_is_counted_with_its_state),
        RUN(an_exit_long_ago_is_not_taken_for_a_long_life),
        RUN(a_launch_without_a_process_is_done_again),
        RUN(a_launch_begins_without_a_start_time),
        RUN(children_that_have_not_told_their_pid_are_looked_for_once),
        RUN(a_start_that_is_due_is_done),
        RUN(nothing_is_started_while_only_watching),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
