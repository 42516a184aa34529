/* The log that several programs append to through one open file. */
#include "supervisor/own_log.h"

#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/stat.h>

static char *path, *old_path;
static int log_fd;

static int set_up(void **state)
{
    if (make_folder(state) < 0)
        return -1;
    path = in_folder("proctor.log");
    old_path = in_folder("proctor.log.1");
    log_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    return log_fd < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)close(log_fd);
    free(path);
    free(old_path);
    return remove_folder(state);
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void moves_what_is_too_much_and_all_writers_go_on(void **state)
{
    /* As a child has inherited it. */
    AUTOCLOSE int child = dup(log_fd);
    struct stat st;
    say(log_fd, "one\n");
    assert_int_equal(own_log_turn(log_fd, path, old_path, 4), 0);
    say(child, "two\n");
    assert_int_equal(own_log_turn(log_fd, path, old_path, 4), 1);
    assert_file(old_path, "one\ntwo\n");
    say(child, "three\n");
    say(log_fd, "four\n");
    assert_file(path, "three\nfour\n");
    assert_int_equal(stat(old_path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* There is one old one. */
    assert_int_equal(own_log_turn(log_fd, path, old_path, 4), 1);
    assert_file(old_path, "three\nfour\n");
}

static void touches_no_other_file(void **state)
{
    AUTOFREE char *other = in_folder("other");
    put_file(other, "a terminal's, say, which is long\n");
    AUTOCLOSE int fd = open(other, O_WRONLY | O_APPEND | O_CLOEXEC);
    say(log_fd, "a long line\n");
    assert_int_equal(own_log_turn(fd, path, old_path, 4), 0);
    assert_file(path, "a long line\n");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(own_log_turn(log_fd, path, old_path, 4), 0);
    /* Nor what somebody has put in its place. */
    assert_int_equal(symlink(other, path), 0);
    assert_int_equal(own_log_turn(fd, path, old_path, 4), 0);
    assert_file(other, "a terminal's, say, which is long\n");
}

static void leaves_the_log_when_it_cannot_be_moved(void **state)
{
    assert_int_equal(mkdir(old_path, 0700), 0);
    say(log_fd, "a long line\n");
    assert_true(own_log_turn(log_fd, path, old_path, 4) < 0);
    assert_file(path, "a long line\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(moves_what_is_too_much_and_all_writers_go_on),
        TEST(touches_no_other_file),
        TEST(leaves_the_log_when_it_cannot_be_moved),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
