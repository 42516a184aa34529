#include "supervisor/cli/monit/log_pane.h"

#include "tests/unit/support.h"

static struct log_pane pane;

static int set_up(void **state)
{
    if (make_folder(state) < 0)
        return -1;
    log_pane_init(&pane, folder);
    return 0;
}

static int tear_down(void **state)
{
    log_pane_clear(&pane);
    return remove_folder(state);
}

static void append(const char *name, const char *text)
{
    AUTOFREE char *path = in_folder(name);
    FILE *f = fopen(path, "ae");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static void assert_plain(const char *text, const char *plain)
{
    char copy[200];
    (void)snprintf(copy, sizeof copy, "%s", text);
    log_pane_make_plain(copy);
    assert_string_equal(copy, plain);
}

static void nothing_from_a_log_reaches_the_terminal(void **state)
{
    assert_plain("plain", "plain");
    assert_plain("a\tb\rc", "a bc");
    assert_plain("\x1b[1;31mred\x1b[0m", "red");
    assert_plain("\x1b]0;title\x07x\x1b]0;title\x1b\\y", "xy");
    assert_plain("\x1b[", "");
    assert_plain("\x1b", "");
    assert_plain("\x1b]0;no end", "");
    assert_plain("a\x1b"
                 "cb\x07",
                 "ab?");
    assert_plain("bad \xff utf", "bad ? utf");
    assert_plain("\xc2\x9b"
                 "31m",
                 "??31m");
}

static void shows_the_end_and_what_comes(void **state)
{
    append("web-0.out", "one\ntwo\n");
    append("web-1.out", "other\n");
    log_pane_choose(&pane, "web-0");
    assert_true(log_pane_read(&pane));
    assert_string_equal(log_pane_line(&pane, 0)->text, "two");
    assert_string_equal(log_pane_line(&pane, 1)->text, "one");
    assert_null(log_pane_line(&pane, 2));
    assert_false(log_pane_read(&pane));
    /* A stream that had no file yet. */
    append("web-0.err", "three\n");
    assert_true(log_pane_read(&pane));
    assert_string_equal(log_pane_line(&pane, 0)->text, "three");
    assert_true(log_pane_line(&pane, 0)->is_err);
    log_pane_choose(&pane, "web-1");
    assert_true(log_pane_read(&pane));
    assert_string_equal(log_pane_line(&pane, 0)->text, "other");
    assert_null(log_pane_line(&pane, 1));
    log_pane_choose(&pane, NULL);
    assert_false(log_pane_read(&pane));
    assert_null(log_pane_line(&pane, 0));
}

static void a_flood_is_taken_in_pieces(void **state)
{
    log_pane_choose(&pane, "web-0");
    for (int i = 0; i < 5000; i++)
        append("web-0.out", "a line\n");
    append("web-0.out", "the last\n");
    unsigned looks = 0;
    do
        assert_true(++looks < 10 && (log_pane_read(&pane) || !pane.more));
    while (pane.more);
    assert_true(looks > 1);
    assert_int_equal(pane.count, LOG_PANE_LINES);
    assert_string_equal(log_pane_line(&pane, 0)->text, "the last");
    assert_non_null(log_pane_line(&pane, LOG_PANE_LINES - 1));
    assert_null(log_pane_line(&pane, LOG_PANE_LINES));
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(nothing_from_a_log_reaches_the_terminal),
        IN_FOLDER(shows_the_end_and_what_comes),
        IN_FOLDER(a_flood_is_taken_in_pieces),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
