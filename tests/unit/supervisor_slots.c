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
    assert_int_equal(slots_open(&slots, path, -1), 0);
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
    assert_int_equal(slots_open(&slots, path, -1), 0);
    struct slot *slot = slots_take(&slots, "web", 3, 9);
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
    assert_int_equal(slots_open(&slots, path, -1), 0);
    struct slot *first = slots_take(&slots, "a", 0, 9), *slot = first;
    for (unsigned i = 1; i < LIMIT_INSTANCES; i++) {
        slot = slots_take(&slots, "a", i, 9);
        assert_non_null(slot);
    }
    assert_null(slots_take(&slots, "a", 0, 9));
    first->ipc_done = 5;
    slots_release(first);
    slots_release(NULL);
    assert_ptr_equal(slots_take(&slots, "b", 7, 9), first);
    assert_string_equal(first->app, "b");
    assert_int_equal(first->ipc_done, 0);
    open_again();
    find_survivors();
    assert_int_equal(survivor_count, 0);
    assert_null(slots_take(&slots, "a", 0, 9));
    slots_forget(&slots);
    assert_non_null(slots_take(&slots, "a", 0, 9));
}

static void a_pid_with_another_start_is_another_process(void **state)
{
    pid_t pid = start_sleeper(true);
    assert_int_equal(slots_open(&slots, path, -1), 0);
    struct slot *slot = slots_take(&slots, "web", 0, 9);
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
    assert_int_equal(slots_open(&slots, path, -1), 0);
    slots_take(&slots, "web", 0, 9)->pid = other;
    slots_take(&slots, "web", 1, 9)->pid = ours;
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
    assert_int_equal(slots_open(&slots, path, -1), 0);
    struct slot *slot = slots_take(&slots, "web", 0, 9);
    slot->pid = zombie;
    slot->start_ticks = start;
    (void)slots_take(&slots, "web", 1, 9); /* nothing was started in it */
    slots_take(&slots, "web", 2, 9)->pid = -5;
    slot = slots_take(&slots, "web", 3, 9);
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
    assert_int_equal(slots_open(&slots, path, -1), 0);
    struct slot *slot = slots_take(&slots, name, 0, 9);
    assert_int_equal(strlen(slot->app), sizeof slot->app - 1);
    /* A damaged file does not lead past its end either. */
    memset(slot->app, 'y', sizeof slot->app);
    slot->pid = getpid();
    slot->start_ticks = start_of(getpid());
    find_survivors();
    assert_int_equal(survivor_count, 1);
}

static const struct slot_life some_life = {.state = 2, .flags = SLOT_WANTED, .restarts = 7};

static struct slot_life life_of(const struct slot *slot)
{
    struct slot_life life;
    assert_int_equal(slot_life(slot, &life), 0);
    return life;
}

static void a_life_is_read_as_it_was_committed(void **state)
{
    assert_int_equal(slots_open(&slots, path, -1), 0);
    struct slot *slot = slots_take(&slots, "web", 3, 9);
    assert_int_equal(slot->pm_id, 9);
    struct slot_life life = some_life;
    assert_int_equal(slot_life(slot, &life), -ENOENT);
    for (unsigned i = 0; i < 5; i++) {
        life.restarts = i;
        slot_commit(slot, &life);
        open_again();
        slot = slots_find(&slots, "web", 3);
        assert_int_equal(life_of(slot).restarts, i);
        assert_int_equal(life_of(slot).flags, SLOT_WANTED);
    }
    assert_null(slots_find(&slots, "web", 2));
    assert_null(slots_find(&slots, "we", 3));
    slots_release(slot);
    assert_null(slots_find(&slots, "web", 3));
}

/* What a supervisor that dies in the middle of a commit leaves: the other side half written, and not turned over. */
static void half_a_commit_is_none(void **state)
{
    assert_int_equal(slots_open(&slots, path, -1), 0);
    struct slot *slot = slots_take(&slots, "web", 0, 1);
    slot_commit(slot, &some_life);
    for (size_t cut = 0; cut <= SLOT_LIFE_BYTES; cut++) {
        memset(slot->sides[!slot->current].room, 0x55, cut);
        struct slot_life life = life_of(slot);
        assert_memory_equal(&life, &some_life, sizeof life);
    }
}

static void a_damaged_life_is_not_believed(void **state)
{
    struct slot_life life;
    assert_int_equal(slots_open(&slots, path, -1), 0);
    struct slot *slot = slots_take(&slots, "web", 0, 1);
    slot_commit(slot, &some_life);
    life = some_life;
    life.restarts = 8;
    slot_commit(slot, &life);
    slot->sides[slot->current].room[9] ^= 4;
    assert_int_equal(life_of(slot).restarts, 7); /* the one before */
    slot->sides[!slot->current].room[100] ^= 1;
    assert_int_equal(slot_life(slot, &life), -EPROTO);
    slot->current = 77;
    assert_int_equal(slot_life(slot, &life), -EPROTO);
    slot_commit(slot, &some_life);
    assert_int_equal(life_of(slot).restarts, 7);
}

static void what_a_newer_minor_has_appended_stays(void **state)
{
    assert_int_equal(slots_open(&slots, path, -1), 0);
    struct slot *slot = slots_take(&slots, "web", 0, 1);
    slot_commit(slot, &some_life);
    /* As a newer one would: with the checksum. */
    memset(slot->sides, 0, sizeof slot->sides);
    slot->sides[slot->current].room[SLOT_SUM_AT - 1] = 'n';
    slot_commit(slot, &some_life);
    ((char *)slot)[SLOT_BYTES - 1] = 'm';
    for (int i = 0; i < 3; i++) {
        slot_commit(slot, &some_life);
        assert_int_equal(slot->sides[slot->current].room[SLOT_SUM_AT - 1], 'n');
    }
    slots_close(&slots);
    AUTOCLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    uint32_t minor = 44;
    assert_int_equal(pwrite(fd, &minor, sizeof minor, 16), sizeof minor);
    open_again();
    slot = slots_find(&slots, "web", 0);
    assert_int_equal(life_of(slot).restarts, 7);
    assert_int_equal(((char *)slot)[SLOT_BYTES - 1], 'm');
    slots_close(&slots);
    assert_int_equal(pread(fd, &minor, sizeof minor, 16), sizeof minor);
    assert_int_equal(minor, 44);
}

static void records_of_another_boot_are_forgotten(void **state)
{
    assert_int_equal(slots_open(&slots, path, -1), 0);
    slots_take(&slots, "web", 0, 1)->pid = getpid();
    slots_close(&slots);
    AUTOCLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "x", 1, 24), 1);
    open_again();
    assert_null(slots_find(&slots, "web", 0));
    find_survivors();
    assert_int_equal(survivor_count, 0);
    (void)slots_take(&slots, "web", 0, 1);
    open_again();
    assert_non_null(slots_find(&slots, "web", 0));
}

static void a_descriptor_from_the_keeper_is_taken(void **state)
{
    assert_int_equal(slots_open(&slots, path, -1), 0);
    (void)slots_take(&slots, "web", 5, 1);
    int before = count_fds();
    int copy = fcntl(slots.fd, F_DUPFD_CLOEXEC, 0);
    slots_close(&slots);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(slots_open(&slots, path, copy), 0);
    assert_non_null(slots_find(&slots, "web", 5));
    assert_int_equal(count_fds(), before);
    assert_int_equal(access(path, F_OK), -1);
    slots_close(&slots);
    /* Also when it cannot be used. */
    put_file(path, "something else");
    copy = open(path, O_RDWR | O_CLOEXEC);
    assert_int_equal(slots_open(&slots, path, copy), -EPROTO);
    assert_int_equal(count_fds(), before - 1);
}

static void a_larger_file_of_another_version_is_left_as_it_is(void **state)
{
    struct stat before, after;
    assert_int_equal(slots_open(&slots, path, -1), 0);
    slots_close(&slots);
    AUTOCLOSE int fd = open(path, O_RDWR | O_CLOEXEC);
    uint32_t version = 77;
    assert_int_equal(fstat(fd, &before), 0);
    assert_int_equal(pwrite(fd, &version, sizeof version, sizeof(uint32_t)), sizeof version);
    assert_int_equal(pwrite(fd, "more", 4, before.st_size), 4);
    assert_int_equal(slots_open(&slots, path, -1), -EPROTO);
    assert_int_equal(fstat(fd, &after), 0);
    assert_int_equal(after.st_size, before.st_size + 4);
}

static void a_file_that_is_not_ours_is_refused(void **state)
{
    struct stat st;
    put_file(path, "something else entirely\n");
    assert_int_equal(slots_open(&slots, path, -1), -EPROTO);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink("elsewhere", path), 0);
    assert_int_equal(slots_open(&slots, path, -1), -ELOOP);
    assert_int_equal(unlink(path), 0);
    AUTOFREE char *deep = in_folder("none/slots");
    assert_int_equal(slots_open(&slots, deep, -1), -ENOENT);
    assert_int_equal(slots_open(&slots, path, -1), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* Sparse: what nobody uses takes no room. */
    assert_true(st.st_blocks * 512 >= st.st_size); /* a full disk is found out at once */
}

/* So that a death while what runs is looked for leaves that to the next one. */
static void a_new_file_is_fresh_until_that_is_settled(void **state)
{
    for (int i = 0; i < 2; i++) {
        open_again();
        assert_true(slots.fresh);
    }
    assert_non_null(slots_take(&slots, "web", 0, 0));
    open_again();
    assert_true(slots.fresh);
    slots_settled(&slots);
    open_again();
    assert_false(slots.fresh);
    assert_non_null(slots_find(&slots, "web", 0));
}

static void one_that_was_cut_off_is_a_new_one(void **state)
{
    static const off_t lengths[] = {0, 100, 6000};
    for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
        open_again();
        slots_settled(&slots);
        assert_non_null(slots_take(&slots, "web", 0, 0));
        slots_close(&slots);
        assert_int_equal(truncate(path, lengths[i]), 0);
        open_again();
        assert_true(slots.fresh);
        assert_null(slots_find(&slots, "web", 0));
    }
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
        IN_FOLDER(a_life_is_read_as_it_was_committed),
        IN_FOLDER(half_a_commit_is_none),
        IN_FOLDER(a_damaged_life_is_not_believed),
        IN_FOLDER(what_a_newer_minor_has_appended_stays),
        IN_FOLDER(records_of_another_boot_are_forgotten),
        IN_FOLDER(a_descriptor_from_the_keeper_is_taken),
        IN_FOLDER(a_larger_file_of_another_version_is_left_as_it_is),
        IN_FOLDER(a_file_that_is_not_ours_is_refused),
        IN_FOLDER(a_new_file_is_fresh_until_that_is_settled),
        IN_FOLDER(one_that_was_cut_off_is_a_new_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
