#include "supervisor/slots.h"

#include "tests/unit/support.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include "lib/base/procfs.h"

static struct slots slots;
static char *path;
static pid_t survivors[16];
static unsigned survivor_count;

static int set_up(void **state)
{
    slots = (struct slots){.fd = -1};
    survivor_count = 0;
    if (make_folder(state) < 0)
        return -1;
    path = in_folder("slots");
    return 0;
}

static int tear_down(void **state)
{
    slots_close(&slots);
    free(path);
    return remove_folder(state);
}

/* As after the death of a supervisor: the mapping is gone, the file is there. */
static void open_again(void)
{
    slots_close(&slots);
    slots_close(&slots);
    assert_int_equal(slots_open(&slots, path), 0);
}

static void on_survivor(void *arg, const struct slot *slot)
{
    assert_string_equal(arg, "arg");
    assert_in_range(survivor_count, 0, 15);
    survivors[survivor_count++] = slot->pid;
}

static void find_survivors(void)
{
    survivor_count = 0;
    size_t count = slots_survivors(&slots, on_survivor, (void *)"arg");
    assert_int_equal(count, survivor_count);
}

static pid_t start_sleeper(bool own_group)
{
    int fds[2];
    char byte;
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        if (own_group)
            (void)setsid();
        (void)!write(fds[1], "x", 1);
        for (;;)
            pause();
    }
    assert_int_equal(read(fds[0], &byte, 1), 1);
    (void)close(fds[0]);
    (void)close(fds[1]);
    return pid;
}

static void stop(pid_t pid)
{
    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static uint64_t start_of(pid_t pid)
{
    struct proc_stat st;
    assert_int_equal(procfs_stat(pid, &st), 0);
    return st.start_ticks;
}

static void records_outlive_the_mapping(void **state)
{
    pid_t pid = start_sleeper(false);
    assert_int_equal(slots_open(&slots, path), 0);
    struct slot *slot = slots_take(&slots, "web", 3);
    assert_string_equal(slot->app, "web");
    assert_int_equal(slot->instance, 3);
    assert_int_equal(slot->used, 1);
    slot->pid = pid;
    slot->start_ticks = start_of(pid);
    open_again();
    find_survivors();
    assert_int_equal(survivor_count, 1);
    assert_int_equal(survivors[0], pid);
    find_survivors();
    assert_int_equal(survivor_count, 1);
    slots_forget(&slots);
    find_survivors();
    assert_int_equal(survivor_count, 0);
    stop(pid);
    assert_no_child();
}

static void all_slots_can_be_taken_and_no_more(void **state)
{
    assert_int_equal(slots_open(&slots, path), 0);
    struct slot *first = slots_take(&slots, "a", 0), *slot = first;
    for (unsigned i = 1; i < LIMIT_INSTANCES; i++) {
        slot = slots_take(&slots, "a", i);
        assert_non_null(slot);
    }
    assert_null(slots_take(&slots, "a", 0));
    first->inspector_port = 5;
    slots_release(first);
    slots_release(NULL);
    assert_ptr_equal(slots_take(&slots, "b", 7), first);
    assert_string_equal(first->app, "b");
    assert_int_equal(first->inspector_port, 0);
    open_again();
    find_survivors();
    assert_int_equal(survivor_count, 0);
    assert_null(slots_take(&slots, "a", 0));
    slots_forget(&slots);
    assert_non_null(slots_take(&slots, "a", 0));
}

static void a_pid_with_another_start_is_another_process(void **state)
{
    pid_t pid = start_sleeper(true);
    assert_int_equal(slots_open(&slots, path), 0);
    struct slot *slot = slots_take(&slots, "web", 0);
    slot->pid = pid;
    slot->start_ticks = start_of(pid) - 1;
    open_again();
    find_survivors();
    assert_int_equal(survivor_count, 0);
    stop(pid);
}

static void without_a_start_time_the_own_session_must_do(void **state)
{
    pid_t ours = start_sleeper(true), other = start_sleeper(false);
    assert_int_equal(slots_open(&slots, path), 0);
    slots_take(&slots, "web", 0)->pid = other;
    slots_take(&slots, "web", 1)->pid = ours;
    open_again();
    find_survivors();
    assert_int_equal(survivor_count, 1);
    assert_int_equal(survivors[0], ours);
    stop(ours);
    stop(other);
}

static void the_dead_and_the_unused_are_no_survivors(void **state)
{
    pid_t zombie = start_sleeper(true);
    uint64_t start = start_of(zombie);
    (void)kill(zombie, SIGKILL);
    assert_int_equal(waitid(P_PID, (id_t)zombie, &(siginfo_t){0}, WEXITED | WNOWAIT), 0);
    assert_int_equal(slots_open(&slots, path), 0);
    struct slot *slot = slots_take(&slots, "web", 0);
    slot->pid = zombie;
    slot->start_ticks = start;
    (void)slots_take(&slots, "web", 1); /* nothing was started in it */
    slots_take(&slots, "web", 2)->pid = -5;
    slot = slots_take(&slots, "web", 3);
    slot->pid = getpid();
    slot->start_ticks = start_of(getpid());
    slots_release(slot);
    open_again();
    find_survivors();
    assert_int_equal(survivor_count, 0);
    assert_int_equal(waitpid(zombie, NULL, 0), zombie);
}

static void a_name_of_any_length_ends(void **state)
{
    AUTOFREE char *name = xcalloc(1, 1001);
    memset(name, 'x', 1000);
    assert_int_equal(slots_open(&slots, path), 0);
    struct slot *slot = slots_take(&slots, name, 0);
    assert_int_equal(strlen(slot->app), sizeof slot->app - 1);
    /* A damaged file does not lead past its end either. */
    memset(slot->app, 'y', sizeof slot->app);
    slot->pid = getpid();
    slot->start_ticks = start_of(getpid());
    find_survivors();
    assert_int_equal(survivor_count, 1);
}

static void a_larger_file_of_another_version_is_left_as_it_is(void **state)
{
    struct stat before, after;
    assert_int_equal(slots_open(&slots, path), 0);
    slots_close(&slots);
    AUTOCLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    uint32_t version = 77;
    assert_int_equal(fstat(fd, &before), 0);
    assert_int_equal(pwrite(fd, &version, sizeof version, sizeof(uint32_t)), sizeof version);
    assert_int_equal(pwrite(fd, "more", 4, before.st_size), 4);
    assert_int_equal(slots_open(&slots, path), -EPROTO);
    assert_int_equal(fstat(fd, &after), 0);
    assert_int_equal(after.st_size, before.st_size + 4);
}

static void a_file_that_is_not_ours_is_refused(void **state)
{
    struct stat st;
    put_file(path, "something else entirely\n");
    assert_int_equal(slots_open(&slots, path), -EPROTO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("elsewhere", path), 0);
    assert_int_equal(slots_open(&slots, path), -ELOOP);
    assert_int_equal(unlink(path), 0);
    AUTOFREE char *deep = in_folder("none/slots");
    assert_int_equal(slots_open(&slots, deep), -ENOENT);
    assert_int_equal(slots_open(&slots, path), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* Sparse: what nobody uses takes no room. */
    assert_true(st.st_blocks * 512 >= st.st_size); /* a full disk is found out at once */
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(records_outlive_the_mapping),
        IN_FOLDER(all_slots_can_be_taken_and_no_more),
        IN_FOLDER(a_pid_with_another_start_is_another_process),
        IN_FOLDER(without_a_start_time_the_own_session_must_do),
        IN_FOLDER(the_dead_and_the_unused_are_no_survivors),
        IN_FOLDER(a_name_of_any_length_ends),
        IN_FOLDER(a_larger_file_of_another_version_is_left_as_it_is),
        IN_FOLDER(a_file_that_is_not_ours_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
