#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/keep/programs.h"

static char folder[] = "/tmp/proctor-unit-XXXXXX", path[64], fresh[64];
static struct keep_programs programs;

static int make_folder(void **state)
{
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/program", folder);
    (void)snprintf(fresh, sizeof fresh, "%s/fresh", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)unlink(path);
    return rmdir(folder);
}

static int start(void **state)
{
    (void)unlink(path);
    programs = (struct keep_programs){.path = path, .fds = {-1, -1}};
    return 0;
}

static int end(void **state)
{
    for (unsigned i = 0; i < 2; i++)
        if (programs.fds[i] >= 0)
            (void)close(programs.fds[i]);
    return 0;
}

/* A new file at the path, with so many bytes: told apart by its size. */
static void install(unsigned size)
{
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    assert_int_equal(ftruncate(fd, size), 0);
    (void)close(fd);
    assert_int_equal(rename(fresh, path), 0);
    keep_programs_look(&programs);
}

/* Sizes of what is used and of the other one; 0: there is none. */
static void are(unsigned used, unsigned other)
{
    struct stat st;
    unsigned sizes[2];
    for (int i = 0; i < 2; i++)
        sizes[i] = fstat(programs.fds[i], &st) == 0 ? (unsigned)st.st_size : 0;
    assert_int_equal(sizes[programs.use], used);
    assert_int_equal(sizes[!programs.use], other);
}

static void one_that_has_been_up_is_kept_when_another_lies_at_the_path(void **state)
{
    install(1);
    are(1, 0);
    keep_programs_up(&programs);
    keep_programs_look(&programs);
    are(1, 0);
    install(2);
    are(2, 1);
    keep_programs_up(&programs);
    install(3);
    are(3, 2);
}

static void one_that_was_never_up_is_not_worth_keeping(void **state)
{
    install(1);
    install(2);
    are(2, 0);
    keep_programs_up(&programs);
    install(3);
    install(4);
    are(4, 2);
}

static void going_back_and_forth(void **state)
{
    install(1);
    keep_programs_other(&programs);
    are(1, 0);
    keep_programs_up(&programs);
    install(2);
    keep_programs_other(&programs);
    are(1, 2);
    keep_programs_up(&programs);
    keep_programs_look(&programs);
    are(1, 2);
    keep_programs_other(&programs);
    are(2, 1);
    keep_programs_other(&programs);
    /* A repaired one replaces the one that failed, not the one that works. */
    install(3);
    are(3, 1);
}

static void an_upgrade_takes_what_lies_there_also_after_a_rollback(void **state)
{
    install(1);
    keep_programs_up(&programs);
    install(2);
    keep_programs_other(&programs);
    keep_programs_up(&programs);
    keep_programs_newest(&programs);
    keep_programs_look(&programs);
    are(2, 1);
    install(3);
    are(3, 1);
    keep_programs_up(&programs);
    keep_programs_newest(&programs);
    install(4);
    are(4, 3);
}

static void a_file_that_is_gone_changes_nothing(void **state)
{
    install(1);
    keep_programs_up(&programs);
    (void)unlink(path);
    keep_programs_look(&programs);
    are(1, 0);
}

static void copy_program(const char *from)
{
    char command[256];
    (void)snprintf(command, sizeof command, "cp %s %s && mv %s %s", from, fresh, fresh, path);
    assert_int_equal(system(command), 0);
    keep_programs_look(&programs);
}

static int run(void)
{
    char *argv[] = {(char[]){"program"}, NULL};
    pid_t pid = fork();
    if (pid == 0)
        _exit(-keep_programs_exec(&programs, argv));
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WEXITSTATUS(status);
}

static void runs_the_one_that_is_used_also_when_its_file_is_gone(void **state)
{
    assert_int_equal(run(), ENOENT);
    copy_program("/bin/true");
    keep_programs_up(&programs);
    assert_int_equal(run(), 0);
    copy_program("/bin/false");
    assert_int_equal(run(), 1);
    keep_programs_other(&programs);
    assert_int_equal(run(), 0);
    (void)unlink(path);
    assert_int_equal(run(), 0);
    keep_programs_other(&programs);
    assert_int_equal(run(), 1);
}

static void tries_a_command(void **state)
{
    char *yes[] = {(char[]){"/bin/true"}, NULL}, *no[] = {(char[]){"/bin/false"}, NULL};
    char *none[] = {(char[]){"/nowhere/at/all"}, NULL};
    assert_true(keep_programs_try(yes));
    assert_false(keep_programs_try(no));
    assert_false(keep_programs_try(none));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_that_has_been_up_is_kept_when_another_lies_at_the_path,
                                        start, end),
        cmocka_unit_test_setup_teardown(one_that_was_never_up_is_not_worth_keeping, start, end),
        cmocka_unit_test_setup_teardown(going_back_and_forth, start, end),
        cmocka_unit_test_setup_teardown(an_upgrade_takes_what_lies_there_also_after_a_rollback,
                                        start, end),
        cmocka_unit_test_setup_teardown(a_file_that_is_gone_changes_nothing, start, end),
        cmocka_unit_test_setup_teardown(runs_the_one_that_is_used_also_when_its_file_is_gone, start,
                                        end),
        cmocka_unit_test_setup_teardown(tries_a_command, start, end),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
