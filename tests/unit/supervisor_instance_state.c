#include "supervisor/instance_state.h"

#include "tests/unit/support.h"

static bool is_exit(enum instance_event event)
{
    return event == EV_EXITED_DONE || event == EV_EXITED_AGAIN || event == EV_EXITED_LATER ||
           event == EV_EXITED_ERROR;
}

static bool has_process(enum instance_state state)
{
    return state == INSTANCE_LAUNCHING || state == INSTANCE_ONLINE || state == INSTANCE_STOPPING;
}

static void stopped_can_be_reached_from_every_state(void **state)
{
    bool reaches[INSTANCE_STATE_COUNT] = {[INSTANCE_STOPPED] = true};
    /* As many rounds as there are states find every way. */
    for (int round = 0; round < INSTANCE_STATE_COUNT; round++) {
        for (int s = 0; s < INSTANCE_STATE_COUNT; s++) {
            for (int e = 0; e < INSTANCE_EVENT_COUNT; e++) {
                struct instance_rule rule =
                    instance_rule((enum instance_state)s, (enum instance_event)e);
                reaches[s] |= rule.listed && reaches[rule.to];
            }
        }
    }
    for (int s = 0; s < INSTANCE_STATE_COUNT; s++)
        assert_true(reaches[s]);
}

static void a_stop_and_the_exit_after_it_end_in_stopped(void **state)
{
    for (int s = 0; s < INSTANCE_STATE_COUNT; s++) {
        struct instance_rule stop = instance_rule((enum instance_state)s, EV_STOP);
        if (s == INSTANCE_STOPPED) {
            assert_false(stop.listed);
            continue;
        }
        assert_true(stop.listed);
        if (stop.to == INSTANCE_STOPPED) {
            assert_false(has_process((enum instance_state)s));
            continue;
        }
        assert_int_equal(stop.to, INSTANCE_STOPPING);
        assert_int_equal(instance_rule(stop.to, EV_EXITED_DONE).to, INSTANCE_STOPPED);
    }
}

static void a_late_exit_changes_nothing_at_rest(void **state)
{
    static const enum instance_state resting[] = {INSTANCE_STOPPED, INSTANCE_WAITING,
                                                  INSTANCE_ERRORED};
    for (size_t i = 0; i < ARRAY_SIZE(resting); i++) {
        for (int e = 0; e < INSTANCE_EVENT_COUNT; e++)
            if (is_exit((enum instance_event)e))
                assert_false(instance_rule(resting[i], (enum instance_event)e).listed);
        assert_false(instance_rule(resting[i], EV_SETTLED).listed);
        assert_false(instance_rule(resting[i], EV_KILL_TIMEOUT).listed);
        assert_false(instance_rule(resting[i], EV_SPAWN_FAILED).listed);
    }
}

static void every_exit_means_something_while_a_process_runs(void **state)
{
    for (int e = 0; e < INSTANCE_EVENT_COUNT; e++) {
        if (!is_exit((enum instance_event)e))
            continue;
        assert_true(instance_rule(INSTANCE_LAUNCHING, (enum instance_event)e).listed);
        assert_true(instance_rule(INSTANCE_ONLINE, (enum instance_event)e).listed);
        assert_int_equal(instance_rule(INSTANCE_LAUNCHING, (enum instance_event)e).to,
                         instance_rule(INSTANCE_ONLINE, (enum instance_event)e).to);
    }
    /* An end that was asked for is one of these two. */
    assert_true(instance_rule(INSTANCE_STOPPING, EV_EXITED_DONE).listed);
    assert_true(instance_rule(INSTANCE_STOPPING, EV_EXITED_AGAIN).listed);
}

static void a_start_or_restart_always_leads_to_a_launch(void **state)
{
    static const enum instance_event wishes[] = {EV_START, EV_RESTART};
    for (int s = 0; s < INSTANCE_STATE_COUNT; s++) {
        for (size_t i = 0; i < ARRAY_SIZE(wishes); i++) {
            struct instance_rule rule = instance_rule((enum instance_state)s, wishes[i]);
            bool runs = s == INSTANCE_LAUNCHING || s == INSTANCE_ONLINE;
            if (runs && wishes[i] == EV_START)
                assert_false(rule.listed);
            else if (runs)
                assert_int_equal(rule.action, DO_STOP_AGAIN);
            else if (s == INSTANCE_STOPPING)
                assert_int_equal(rule.action, DO_AGAIN);
            else
                assert_int_equal(rule.action, DO_LAUNCH);
        }
    }
}

static void actions_fit_the_states_they_lead_to(void **state)
{
    for (int s = 0; s < INSTANCE_STATE_COUNT; s++) {
        for (int e = 0; e < INSTANCE_EVENT_COUNT; e++) {
            struct instance_rule rule =
                instance_rule((enum instance_state)s, (enum instance_event)e);
            if (!rule.listed)
                continue;
            assert_in_range(rule.to, 0, INSTANCE_STATE_COUNT - 1);
            assert_int_equal(rule.action == DO_LAUNCH, rule.to == INSTANCE_LAUNCHING);
            assert_int_equal(rule.action == DO_DELAY, rule.to == INSTANCE_WAITING);
            if (rule.action == DO_STOP || rule.action == DO_STOP_AGAIN || rule.action == DO_FORCE)
                assert_int_equal(rule.to, INSTANCE_STOPPING);
            /* A process comes from a launch only. */
            if (has_process(rule.to) && rule.to != INSTANCE_LAUNCHING)
                assert_true(has_process((enum instance_state)s));
        }
    }
    assert_int_equal(instance_rule(INSTANCE_WAITING, EV_STOP).action, DO_END_DELAY);
}

static void states_and_events_have_names(void **state)
{
    assert_string_equal(instance_state_word(INSTANCE_WAITING), "waiting restart");
    assert_string_equal(instance_event_name(EV_KILL_TIMEOUT), "EV_KILL_TIMEOUT");
    for (int s = 0; s < INSTANCE_STATE_COUNT; s++)
        for (int t = 0; t < s; t++)
            assert_string_not_equal(instance_state_word((enum instance_state)s),
                                    instance_state_word((enum instance_state)t));
    for (int e = 0; e < INSTANCE_EVENT_COUNT; e++)
        assert_non_null(instance_event_name((enum instance_event)e));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stopped_can_be_reached_from_every_state),
        cmocka_unit_test(a_stop_and_the_exit_after_it_end_in_stopped),
        cmocka_unit_test(a_late_exit_changes_nothing_at_rest),
        cmocka_unit_test(every_exit_means_something_while_a_process_runs),
        cmocka_unit_test(a_start_or_restart_always_leads_to_a_launch),
        cmocka_unit_test(actions_fit_the_states_they_lead_to),
        cmocka_unit_test(states_and_events_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
