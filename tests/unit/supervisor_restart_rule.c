/* The facts are PM2's, measured: see what each test says. */
#include "supervisor/restart_rule.h"

#include "tests/unit/support.h"

#include "ecosystem/spec.h"

enum { FOR_EVER = 500 };

static struct app_spec spec;

static int set_up(void **state)
{
    app_spec_init(&spec);
    return 0;
}

static int tear_down(void **state)
{
    app_spec_clear(&spec);
    return 0;
}

/* How often an app that lives `lives_ms` each time is started until it is errored. */
static int runs_until_errored(int64_t lives_ms)
{
    struct restart_history h = {.created_ms = 5000000};
    int64_t now = h.created_ms;
    for (int runs = 1; runs < FOR_EVER; runs++) {
        h.started_ms = now;
        now += lives_ms;
        enum instance_event event = restart_rule(&spec, &h, now, false, false);
        if (event == EV_EXITED_ERROR)
            return runs;
        assert_int_equal(event, spec.restart_delay_ms > 0 ? EV_EXITED_LATER : EV_EXITED_AGAIN);
        now += spec.restart_delay_ms;
    }
    return FOR_EVER;
}

static void an_app_that_ends_at_once_is_errored_on_the_16th_exit(void **state)
{
    assert_int_equal(spec.max_restarts, 16);
    assert_int_equal(spec.min_uptime_ms, 1000);
    assert_int_equal(runs_until_errored(0), 16);
    assert_int_equal(runs_until_errored(100), 16);
    assert_int_equal(runs_until_errored(999), 16);
}

static void an_app_that_lives_a_little_longer_is_restarted_for_ever(void **state)
{
    assert_int_equal(runs_until_errored(1000), FOR_EVER);
    assert_int_equal(runs_until_errored(1200), FOR_EVER);
}

static void max_restarts_and_min_uptime_are_kept(void **state)
{
    spec.max_restarts = 3;
    spec.min_uptime_ms = 2000;
    assert_int_equal(runs_until_errored(0), 3);
    assert_int_equal(runs_until_errored(1999), 3);
    assert_int_equal(runs_until_errored(2000), FOR_EVER);
    spec.max_restarts = 1;
    assert_int_equal(runs_until_errored(0), 1);
}

static void no_restarts_allowed_is_errored_at_the_first_exit(void **state)
{
    spec.max_restarts = 0;
    assert_int_equal(runs_until_errored(0), 1);
    assert_int_equal(runs_until_errored(100000), 1);
}

static void exits_past_the_window_do_not_count(void **state)
{
    /* 16 quick exits within 16 s are too many; with a delay of 2 s they take longer. */
    spec.restart_delay_ms = 2000;
    assert_int_equal(runs_until_errored(0), FOR_EVER);
    spec.restart_delay_ms = 500;
    assert_int_equal(runs_until_errored(0), 16);
}

static void a_start_by_hand_counts_anew(void **state)
{
    struct restart_history h = {0};
    for (int i = 0; i < 15; i++)
        assert_int_equal(restart_rule(&spec, &h, 0, false, false), EV_EXITED_AGAIN);
    h = (struct restart_history){.created_ms = 100, .started_ms = 100};
    assert_int_equal(restart_rule(&spec, &h, 100, false, false), EV_EXITED_AGAIN);
    assert_int_equal(h.unstable, 1);
}

static void an_end_that_was_asked_for_is_no_failure(void **state)
{
    struct restart_history h = {0};
    spec.max_restarts = 0;
    assert_int_equal(restart_rule(&spec, &h, 0, true, false), EV_EXITED_DONE);
    assert_int_equal(restart_rule(&spec, &h, 0, true, true), EV_EXITED_AGAIN);
    spec.restart_delay_ms = 1000;
    assert_int_equal(restart_rule(&spec, &h, 0, true, true), EV_EXITED_AGAIN);
    assert_int_equal(h.unstable, 0);
}

static void without_autorestart_every_end_is_the_end(void **state)
{
    struct restart_history h = {0};
    spec.autorestart = false;
    spec.restart_delay_ms = 1000;
    assert_int_equal(restart_rule(&spec, &h, 0, false, false), EV_EXITED_DONE);
    assert_int_equal(restart_rule(&spec, &h, 0, true, true), EV_EXITED_AGAIN);
    assert_int_equal(h.unstable, 0);
}

static void the_largest_settings_do_not_overflow(void **state)
{
    spec.max_restarts = INT32_MAX;
    spec.min_uptime_ms = INT32_MAX;
    assert_int_equal(runs_until_errored(10), FOR_EVER);
}

#define WITH_SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SPEC(an_app_that_ends_at_once_is_errored_on_the_16th_exit),
        WITH_SPEC(an_app_that_lives_a_little_longer_is_restarted_for_ever),
        WITH_SPEC(max_restarts_and_min_uptime_are_kept),
        WITH_SPEC(no_restarts_allowed_is_errored_at_the_first_exit),
        WITH_SPEC(exits_past_the_window_do_not_count),
        WITH_SPEC(a_start_by_hand_counts_anew),
        WITH_SPEC(an_end_that_was_asked_for_is_no_failure),
        WITH_SPEC(without_autorestart_every_end_is_the_end),
        WITH_SPEC(the_largest_settings_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
