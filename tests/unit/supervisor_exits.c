#include "supervisor/exits.h"

#include "tests/unit/support.h"

#include "lib/base/json.h"

static void add(struct exits *x, unsigned seq, const char *text)
{
    struct exit_entry e = {.seq = seq,
                           .pid = 100 + (pid_t)seq,
                           .status = {.by_signal = seq % 2, .code = (int)seq, .at_ms = 5000},
                           .started_ms = 4000,
                           .uptime_ms = 1000,
                           .cause = CAUSE_FAILURE,
                           .then = THEN_LATER,
                           .oom = OOM_LIKELY,
                           .stderr_tail = text ? xstrdup(text) : NULL};
    exits_add(x, &e);
    assert_null(e.stderr_tail);
}

static void the_newest_are_kept(void **state)
{
    struct exits x = {0};
    for (unsigned seq = 1; seq <= EXITS_KEPT + 3; seq++)
        add(&x, seq, "text");
    assert_int_equal(x.count, EXITS_KEPT);
    assert_int_equal(x.items[0].seq, 4);
    assert_int_equal(x.items[EXITS_KEPT - 1].seq, EXITS_KEPT + 3);
    exits_clear(&x);
    assert_int_equal(x.count, 0);
}

static void one_that_is_noted_again_is_there_once(void **state)
{
    struct exits x = {0};
    add(&x, 1, "first");
    add(&x, 2, "second");
    add(&x, 2, "second, again");
    assert_int_equal(x.count, 2);
    assert_string_equal(x.items[1].stderr_tail, "second, again");
    exits_clear(&x);
}

static void they_come_back_from_json_as_they_were(void **state)
{
    struct exits x = {0}, back = {0};
    add(&x, 3, "some \xff text\n");
    add(&x, 4, NULL);
    x.items[1].status.unknown = true;
    x.items[1].forced = true;
    AUTOJSON json_t *json = exits_to_json(&x);
    exits_from_json(&back, json);
    AUTOJSON json_t *again = exits_to_json(&back);
    assert_true(json_equal(json, again));
    assert_int_equal(back.count, 2);
    assert_true(back.items[0].status.by_signal);
    assert_int_equal(back.items[0].status.code, 3);
    assert_int_equal(back.items[0].then, THEN_LATER);
    assert_int_equal(back.items[0].oom, OOM_LIKELY);
    assert_string_equal(back.items[0].stderr_tail, "some ? text\n");
    assert_null(back.items[1].stderr_tail);
    exits_clear(&x);
    exits_clear(&back);
}

static void what_cannot_be_read_is_nothing(void **state)
{
    struct exits x = {0};
    AUTOJSON json_t *json = json_loads("[{\"cause\":\"?\",\"code\":\"x\"}]", 0, NULL);
    exits_from_json(&x, NULL);
    assert_int_equal(x.count, 0);
    exits_from_json(&x, json);
    assert_int_equal(x.items[0].cause, CAUSE_NONE);
    exits_clear(&x);
}

static void a_cause_is_what_is_known_best(void **state)
{
    const struct exit_status zero = {.code = 0}, one = {.code = 1}, unknown = {.unknown = true},
                             killed = {.by_signal = true, .code = 9};
    assert_int_equal(exit_cause_of(&zero, CAUSE_NONE, 0, OOM_NO), CAUSE_EXIT);
    assert_int_equal(exit_cause_of(&one, CAUSE_NONE, 0, OOM_NO), CAUSE_FAILURE);
    assert_int_equal(exit_cause_of(&unknown, CAUSE_NONE, 0, OOM_NO), CAUSE_NONE);
    assert_int_equal(exit_cause_of(&unknown, CAUSE_STOP, 0, OOM_NO), CAUSE_STOP);
    assert_int_equal(exit_cause_of(&killed, CAUSE_NONE, 0, OOM_NO), CAUSE_SIGNAL);
    assert_int_equal(exit_cause_of(&killed, CAUSE_NONE, 15, OOM_NO), CAUSE_SIGNAL);
    assert_int_equal(exit_cause_of(&killed, CAUSE_NONE, 9, OOM_NO), CAUSE_SIGNALLED);
    assert_int_equal(exit_cause_of(&killed, CAUSE_NONE, 0, OOM_YES), CAUSE_OOM);
    assert_int_equal(exit_cause_of(&killed, CAUSE_RESTART, 0, OOM_NO), CAUSE_RESTART);
}

static void the_tail_is_whole_lines_where_it_can_be(void **state)
{
    AUTOFREE char *text = xcalloc(1, 3 * EXIT_STDERR_BYTES + 1);
    assert_null(exit_tail_of(""));
    AUTOFREE char *whole = exit_tail_of("a\nb\n");
    assert_string_equal(whole, "a\nb\n");
    memset(text, 'x', 3 * EXIT_STDERR_BYTES);
    AUTOFREE char *one_line = exit_tail_of(text);
    assert_int_equal(strlen(one_line), EXIT_STDERR_BYTES);
    memcpy(text + 3 * EXIT_STDERR_BYTES - 10, "\nlast\nline", 10);
    AUTOFREE char *cut = exit_tail_of(text);
    assert_string_equal(cut, "last\nline");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_are_kept),
        cmocka_unit_test(one_that_is_noted_again_is_there_once),
        cmocka_unit_test(they_come_back_from_json_as_they_were),
        cmocka_unit_test(what_cannot_be_read_is_nothing),
        cmocka_unit_test(a_cause_is_what_is_known_best),
        cmocka_unit_test(the_tail_is_whole_lines_where_it_can_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
