#include "lib/base/log.h"

#include "tests/unit/support.h"

#include <fcntl.h>

#include "lib/base/err.h"

static int saved_stderr = -1;

/* Standard error goes into a file of the test until shown(). */
static void redirect(void)
{
    AUTOFREE char *path = in_folder("stderr");
    AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    saved_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
}

/* What was written since; the caller frees. */
static char *shown(void)
{
    AUTOFREE char *path = in_folder("stderr");
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    assert_int_equal(dup2(saved_stderr, STDERR_FILENO), STDERR_FILENO);
    (void)close(saved_stderr);
    assert_int_equal(path_read(path, &text), 0);
    return buf_take(&text);
}

static void levels(const char *text)
{
    assert_int_equal(text ? setenv("PROCTOR_LOG", text, 1) : unsetenv("PROCTOR_LOG"), 0);
    log_init("tester", LOG_LEVEL_INFO);
}

static void the_fallback_decides_without_a_setting(void **state)
{
    levels(NULL);
    assert_true(log_enabled(LOG_LEVEL_INFO, "lib/wire/conn.c"));
    assert_false(log_enabled(LOG_LEVEL_DEBUG, "lib/wire/conn.c"));
    levels("");
    assert_false(log_enabled(LOG_LEVEL_DEBUG, "lib/wire/conn.c"));
}

static void a_module_is_a_folder_or_a_file(void **state)
{
    levels("warn,wire=trace,inspector=debug");
    assert_true(log_enabled(LOG_LEVEL_TRACE, "lib/wire/conn.c"));
    assert_true(log_enabled(LOG_LEVEL_DEBUG, "supervisor/inspector.c"));
    assert_true(log_enabled(LOG_LEVEL_DEBUG, "agent/inspector/probe.c"));
    assert_false(log_enabled(LOG_LEVEL_TRACE, "supervisor/inspector.c"));
    assert_false(log_enabled(LOG_LEVEL_INFO, "supervisor/inspector_more.c"));
    assert_false(log_enabled(LOG_LEVEL_INFO, "lib/wireless/conn.c"));
    assert_true(log_enabled(LOG_LEVEL_WARN, "lib/base/log.c"));
}

static void what_it_does_not_know_is_ignored(void **state)
{
    levels("loud,wire=,=debug,wire=loud,,a_name_that_is_far_too_long_for_a_module=trace,DEBUG");
    assert_true(log_enabled(LOG_LEVEL_INFO, "lib/wire/conn.c"));
    assert_false(log_enabled(LOG_LEVEL_DEBUG, "lib/wire/conn.c"));
    AUTOBUF struct buf many = BUF_INIT(10000);
    for (int i = 0; i < 100; i++)
        assert_int_equal(buf_addf(&many, "m%d=trace,", i), 0);
    levels(buf_str(&many));
    assert_true(log_enabled(LOG_LEVEL_TRACE, "lib/m3/x.c"));
    assert_false(log_enabled(LOG_LEVEL_TRACE, "lib/m99/x.c"));
}

static void a_line_has_time_program_level_module_and_error(void **state)
{
    levels(NULL);
    redirect();
    log_write(LOG_LEVEL_WARN, "lib/wire/conn.c", -ENOENT, "cannot open '%s'", "x");
    log_write(LOG_LEVEL_ERROR, "main.c", 0, "second");
    log_debug("not shown");
    AUTOFREE char *text = shown();
    int year, pid;
    char level[8], module[8], rest[80];
    assert_int_equal(sscanf(text,
                            "%d-%*2d-%*2dT%*2d:%*2d:%*2d.%*3dZ tester[%d] %7s %7[^:]: %79[^\n]",
                            &year, &pid, level, module, rest),
                     5);
    assert_in_range(year, 2020, 2200);
    assert_int_equal(pid, getpid());
    assert_string_equal(level, "warn");
    assert_string_equal(module, "conn");
    assert_string_equal(rest, "cannot open 'x': No such file or directory");
    assert_non_null(strstr(text, " error main: second\n"));
    assert_null(strstr(text, "not shown"));
}

static void foreign_text_forges_no_line(void **state)
{
    levels(NULL);
    redirect();
    log_write(LOG_LEVEL_WARN, "a.c", 0, "app said %s.",
              "one\n2026-01-01T00:00:00.000Z proctord[1] error main: two\x1b[2J\x7f\t\r h\xc3\xa9");
    AUTOFREE char *text = shown();
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    assert_non_null(strstr(text, "warn  a: app said one?2026-"));
    assert_non_null(strstr(text, "main: two?[2J??? h\xc3\xa9.\n"));
}

/* What is written of `count` times `part`. */
static char *cut_line(const char *part, int count)
{
    AUTOBUF struct buf huge = BUF_INIT(1 << 20);
    for (int i = 0; i < count; i++)
        assert_int_equal(buf_addstr(&huge, part), 0);
    redirect();
    log_write(LOG_LEVEL_ERROR, "a.c", ERR_TOO_BIG, "x%s", buf_str(&huge));
    return shown();
}

static void a_line_that_is_too_long_is_cut_and_marked(void **state)
{
    levels(NULL);
    AUTOFREE char *huge = cut_line("y", 100000);
    assert_in_range(strlen(huge), 8000, 8200);
    assert_non_null(strstr(huge, "error a: xyyyyyyyy"));
    assert_non_null(strstr(huge, "yyyy\xe2\x80\xa6: larger than the limit set for it\n"));
    /* Not in the middle of a character: of three bytes the limit lies behind one, two, or all of them. */
    AUTOFREE char *wide = cut_line("\xe2\x82\xac", 4000);
    assert_non_null(strstr(wide, "\xe2\x82\xac\xe2\x80\xa6: larger"));
    AUTOFREE char *wider = cut_line("\xf0\x9f\x98\x80", 4000);
    assert_non_null(strstr(wider, "\xf0\x9f\x98\x80\xe2\x80\xa6: larger"));
    AUTOFREE char *fits = cut_line("y", 7999);
    assert_non_null(strstr(fits, "yyyy: larger"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_fallback_decides_without_a_setting),
        cmocka_unit_test(a_module_is_a_folder_or_a_file),
        cmocka_unit_test(what_it_does_not_know_is_ignored),
        cmocka_unit_test_setup_teardown(a_line_has_time_program_level_module_and_error, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(foreign_text_forges_no_line, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(a_line_that_is_too_long_is_cut_and_marked, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
