#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/keep/table.h"

static struct keep_table table, second;

static int start(void **state)
{
    memset(&table, 0, sizeof table);
    memset(&second, 0, sizeof second);
    table.fd_max = 1000;
    table.synced = true;
    return 0;
}

static int end(void **state)
{
    struct keep_msg all = {.type = KEEP_DROP, .name = "*"};
    assert_int_equal(keep_table_obey(&table, &all, -1), 0);
    assert_int_equal(table.count, 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    return 0;
}

static int open_fds(void)
{
    int count = 0;
    for (int fd = 0; fd < 1024; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static int null(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int say(uint32_t type, const char *name, uint64_t seq, int fd)
{
    struct keep_msg msg = {.version = KEEP_VERSION, .type = type, .seq = seq};
    (void)snprintf(msg.name, sizeof msg.name, "%s", name);
    return keep_table_obey(&table, &msg, fd);
}

static void names_are(const char *expected)
{
    char names[512] = "";
    for (uint32_t i = 0; i < table.count; i++) {
        (void)strcat(names, table.records[i].name);
        (void)strcat(names, " ");
    }
    assert_string_equal(names, expected);
}

static void a_name_is_stored_once_and_the_last_one_counts(void **state)
{
    int before = open_fds(), last;
    assert_int_equal(say(KEEP_STORE, "a", 0, null()), 0);
    assert_int_equal(say(KEEP_STORE, "b", 0, null()), 0);
    assert_int_equal(say(KEEP_STORE, "a", 0, last = null()), 0);
    names_are("a b ");
    assert_int_equal(table.records[0].fd, last);
    assert_int_equal(open_fds(), before + 2);
}

static void a_star_drops_all_that_begin_so(void **state)
{
    int before = open_fds();
    static const char *const names[] = {"i7.out.r", "i7.err.w", "i70.out.r", "lock", "i7"};
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(say(KEEP_STORE, names[i], 0, null()), 0);
    assert_int_equal(say(KEEP_DROP, "i", 0, -1), 0);
    assert_int_equal(say(KEEP_DROP, "", 0, -1), 0);
    names_are("i7.out.r i7.err.w i70.out.r lock i7 ");
    assert_int_equal(say(KEEP_DROP, "i7.*", 0, -1), 0);
    names_are("i70.out.r lock i7 ");
    assert_int_equal(say(KEEP_DROP, "lock", 0, -1), 0);
    names_are("i70.out.r i7 ");
    assert_int_equal(say(KEEP_DROP, "*", 0, -1), 0);
    names_are("");
    assert_int_equal(open_fds(), before);
}

/* An old descriptor under the name would be a wrong one. */
static void what_cannot_be_stored_is_closed_and_its_name_forgotten(void **state)
{
    int before = open_fds();
    assert_int_equal(say(KEEP_STORE, "a", 0, null()), 0);
    assert_int_equal(say(KEEP_STORE, "a", 0, -1), -EINVAL);
    names_are("");
    assert_int_equal(say(KEEP_STORE, "", 0, null()), -EINVAL);
    assert_int_equal(say(KEEP_STORE, "a*", 0, null()), -EINVAL);
    assert_int_equal(say(KEEP_STORE, "a", 0, null()), 0);
    table.fd_max = 2;
    assert_int_equal(say(KEEP_STORE, "a", 0, null()), -EMFILE);
    names_are("");
    assert_int_equal(open_fds(), before);
}

static void descriptors_of_other_messages_are_closed(void **state)
{
    int before = open_fds();
    static const uint32_t types[] = {0,        KEEP_DROP, KEEP_ACK,  KEEP_UP,
                                     KEEP_BYE, KEEP_FD,   KEEP_EXIT, 4711};
    for (unsigned i = 0; i < sizeof types / sizeof *types; i++)
        assert_int_equal(say(types[i], "a", 0, null()), 0);
    names_are("");
    assert_int_equal(open_fds(), before);
}

/* ---- exits ------------------------------------------------------------------------------------ */

static pid_t child(int code)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(code);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    return pid;
}

static void children_are_collected_with_their_status(void **state)
{
    pid_t a = child(3), b = fork();
    if (b == 0)
        (void)pause();
    (void)kill(b, SIGKILL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)b, &info, WEXITED | WNOWAIT), 0);
    keep_table_reap(&table, 0);
    assert_int_equal(table.exit_count, 2);
    for (unsigned i = 0; i < 2; i++) {
        bool is_a = table.exits[i].pid == a;
        assert_int_equal(table.exits[i].pid, is_a ? a : b);
        assert_int_equal(table.exits[i].code, is_a ? CLD_EXITED : CLD_KILLED);
        assert_int_equal(table.exits[i].status, is_a ? 3 : SIGKILL);
        assert_int_equal(table.exits[i].seq, i + 1);
        assert_true(table.exits[i].at_ms > 1500000000000);
    }
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void the_supervisor_itself_is_left_alone(void **state)
{
    pid_t supervisor = child(5);
    keep_table_reap(&table, supervisor);
    assert_int_equal(table.exit_count, 0);
    int status;
    assert_int_equal(waitpid(supervisor, &status, WNOHANG), supervisor);
    assert_int_equal(WEXITSTATUS(status), 5);
}

static void without_room_children_stay_zombies(void **state)
{
    table.exit_count = KEEP_EXITS - 1;
    pid_t a = child(1), b = child(2);
    keep_table_reap(&table, 0);
    assert_int_equal(table.exit_count, KEEP_EXITS);
    pid_t left = table.exits[KEEP_EXITS - 1].pid == a ? b : a;
    siginfo_t info = {.si_pid = 0};
    assert_int_equal(waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    assert_int_equal(info.si_pid, left);
    table.exit_count = 0;
    keep_table_reap(&table, 0);
    assert_int_equal(table.exits[0].pid, left);
}

static void an_exit_is_forgotten_when_it_is_acknowledged_and_not_before_it_was_told(void **state)
{
    for (unsigned i = 0; i < 5; i++)
        table.exits[i] = (struct keep_msg){.type = KEEP_EXIT, .seq = i + 1};
    table.exit_count = 5;
    table.exits_told = 3;
    assert_int_equal(say(KEEP_ACK, "", 4, -1), 0);
    assert_int_equal(say(KEEP_ACK, "", 0, -1), 0);
    assert_int_equal(table.exit_count, 5);
    assert_int_equal(say(KEEP_ACK, "", 2, -1), 0);
    assert_int_equal(say(KEEP_ACK, "", 2, -1), 0);
    assert_int_equal(table.exit_count, 4);
    assert_int_equal(table.exits_told, 2);
    assert_int_equal(table.exits[0].seq, 1);
    assert_int_equal(table.exits[1].seq, 3);
    assert_int_equal(table.exits[3].seq, 5);
}

/* ---- telling ---------------------------------------------------------------------------------- */

static void next_is(uint32_t type)
{
    struct keep_msg msg;
    int fd = -2;
    assert_true(keep_table_next(&table, &msg, &fd));
    assert_int_equal(msg.type, type);
    assert_int_equal(msg.version, KEEP_VERSION);
    assert_true((fd >= 0) == (type == KEEP_FD));
    keep_table_told(&table, &msg);
}

static void a_supervisor_is_told_descriptors_exits_synced_and_later_exits(void **state)
{
    struct keep_msg msg;
    int fd;
    assert_int_equal(say(KEEP_STORE, "a", 0, null()), 0);
    assert_int_equal(say(KEEP_STORE, "b", 0, null()), 0);
    (void)child(0);
    keep_table_reap(&table, 0);
    table.synced_msg.flags = KEEP_AGAIN;
    for (unsigned round = 0; round < 3; round++) {
        keep_table_tell_anew(&table);
        next_is(KEEP_FD);
        next_is(KEEP_FD);
        next_is(KEEP_EXIT);
        assert_true(keep_table_next(&table, &msg, &fd));
        assert_int_equal(msg.flags, KEEP_AGAIN);
        next_is(KEEP_SYNCED);
        assert_false(keep_table_next(&table, &msg, &fd));
        /* What it stores itself it need not be told. */
        assert_int_equal(say(KEEP_STORE, "c", 0, null()), 0);
        assert_false(keep_table_next(&table, &msg, &fd));
        assert_int_equal(say(KEEP_DROP, "c", 0, -1), 0);
        assert_false(keep_table_next(&table, &msg, &fd));
    }
    (void)child(0);
    keep_table_reap(&table, 0);
    next_is(KEEP_EXIT);
    assert_false(keep_table_next(&table, &msg, &fd));
}

/* ---- the next keeper -------------------------------------------------------------------------- */

static void a_table_goes_through_a_manifest(void **state)
{
    struct keep_manifest_head head = {.starts = 9, .supervisor_sock = -1}, read;
    assert_int_equal(say(KEEP_STORE, "a", 0, null()), 0);
    assert_int_equal(say(KEEP_STORE, "b", 0, null()), 0);
    (void)child(4);
    keep_table_reap(&table, 0);
    int fd = keep_table_write(&table, &head), before = open_fds();
    assert_true(fd >= 0);
    keep_table_inherit(&table, 0);
    assert_int_equal(fcntl(table.records[1].fd, F_GETFD), 0);
    assert_int_equal(keep_table_read(&second, fd, &read), 0);
    assert_int_equal(open_fds(), before - 1);
    assert_int_equal(fcntl(table.records[1].fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(read.starts, 9);
    assert_int_equal(second.count, 2);
    assert_memory_equal(second.records, table.records, 2 * sizeof *table.records);
    assert_int_equal(second.exit_count, 1);
    assert_memory_equal(second.exits, table.exits, sizeof *table.exits);
    assert_int_equal(second.last_seq, table.last_seq);
    assert_int_equal(keep_table_read(&second, null(), &read), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_name_is_stored_once_and_the_last_one_counts, start, end),
        cmocka_unit_test_setup_teardown(a_star_drops_all_that_begin_so, start, end),
        cmocka_unit_test_setup_teardown(what_cannot_be_stored_is_closed_and_its_name_forgotten,
                                        start, end),
        cmocka_unit_test_setup_teardown(descriptors_of_other_messages_are_closed, start, end),
        cmocka_unit_test_setup_teardown(children_are_collected_with_their_status, start, end),
        cmocka_unit_test_setup_teardown(the_supervisor_itself_is_left_alone, start, end),
        cmocka_unit_test_setup_teardown(without_room_children_stay_zombies, start, end),
        cmocka_unit_test_setup_teardown(
            an_exit_is_forgotten_when_it_is_acknowledged_and_not_before_it_was_told, start, end),
        cmocka_unit_test_setup_teardown(
            a_supervisor_is_told_descriptors_exits_synced_and_later_exits, start, end),
        cmocka_unit_test_setup_teardown(a_table_goes_through_a_manifest, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
