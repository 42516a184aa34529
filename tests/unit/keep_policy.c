#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <sys/wait.h>

#include "lib/keep/keep.h"
#include "lib/keep/policy.h"

#define EXITED(code) ((code) << 8)

static void a_death_before_up_is_a_crash(void **state)
{
    assert_true(policy_is_crash(EXITED(0), false, 0));
    assert_true(policy_is_crash(EXITED(1), false, 1000000));
    assert_true(policy_is_crash(SIGKILL, false, 0));
    assert_true(policy_is_crash(SIGTERM, false, 1000000));
}

static void a_bug_soon_after_up_is_a_crash(void **state)
{
    static const int bugs[] = {SIGSEGV, SIGABRT, SIGBUS, SIGILL, SIGFPE, SIGSYS, SIGTRAP};
    for (unsigned i = 0; i < sizeof bugs / sizeof *bugs; i++) {
        assert_true(policy_is_crash(bugs[i], true, 0));
        assert_true(policy_is_crash(bugs[i] | 0x80, true, 9999)); /* with a core */
        assert_true(policy_is_crash(bugs[i], true, 59999));
        assert_false(policy_is_crash(bugs[i], true, 60000));
    }
    assert_true(policy_is_crash(EXITED(1), true, 0));
    assert_true(policy_is_crash(EXITED(99), true, 9999));
    assert_false(policy_is_crash(EXITED(99), true, 10000));
}

static void being_killed_after_up_is_none(void **state)
{
    for (int sig = 1; sig < 32; sig++)
        if (sig == SIGKILL || sig == SIGTERM || sig == SIGINT || sig == SIGHUP || sig == SIGUSR2)
            assert_false(policy_is_crash(sig, true, 0));
}

/* One death.  The delay; the flags and the program of the next start are told apart. */
static int ended(struct policy *p, bool crash, uint32_t flags, bool other)
{
    bool is_other;
    int delay_ms = policy_ended(p, crash, &is_other);
    assert_int_equal(policy_flags(p), flags);
    assert_int_equal(is_other, other);
    return delay_ms;
}

static void crashes_in_a_row_lead_to_safe_mode_then_to_the_other_program_and_on(void **state)
{
    struct policy p = {0};
    assert_int_equal(policy_flags(&p), 0);
    assert_int_equal(ended(&p, true, 0, false), 0);
    assert_int_equal(ended(&p, true, 0, false), 10);
    assert_int_equal(ended(&p, true, KEEP_SAFE, false), 20);
    assert_int_equal(ended(&p, true, KEEP_SAFE, false), 40);
    assert_int_equal(ended(&p, true, 0, true), 80);
    assert_int_equal(ended(&p, true, 0, false), 160);
    assert_int_equal(ended(&p, true, KEEP_SAFE, false), 320);
    assert_int_equal(ended(&p, true, KEEP_SAFE, false), 640);
    assert_int_equal(ended(&p, true, 0, true), 1280);
    assert_int_equal(ended(&p, true, 0, false), 2560);
    assert_int_equal(ended(&p, true, KEEP_SAFE, false), 5000);
}

static void it_never_gives_up_and_waits_at_most_five_seconds(void **state)
{
    struct policy p = {0};
    bool other, seen_safe = false, seen_normal = false;
    for (unsigned i = 0; i < 100000; i++) {
        int delay_ms = policy_ended(&p, true, &other);
        assert_in_range(delay_ms, 0, 5000);
        seen_safe = seen_safe || policy_flags(&p) == KEEP_SAFE;
        seen_normal = seen_normal || (i > 1000 && policy_flags(&p) == 0);
    }
    assert_true(seen_safe && seen_normal);
}

static void a_death_that_is_no_crash_ends_the_row_and_changes_nothing_else(void **state)
{
    struct policy p = {0};
    for (unsigned round = 0; round < 5; round++) {
        assert_int_equal(ended(&p, true, 0, false), 0);
        assert_int_equal(ended(&p, true, 0, false), 10);
        assert_int_equal(ended(&p, false, 0, false), 0);
    }
    for (unsigned i = 0; i < 3; i++)
        (void)ended(&p, true, i == 2 ? KEEP_SAFE : 0, false);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(ended(&p, false, KEEP_SAFE, false), 0);
    assert_int_equal(ended(&p, true, KEEP_SAFE, false), 0);
    assert_int_equal(ended(&p, true, 0, true), 10);
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(ended(&p, false, 0, false), 0);
}

static void an_upgrade_has_one_try(void **state)
{
    struct policy p = {.stage = STAGE_UPGRADED};
    assert_int_equal(policy_flags(&p), KEEP_UPGRADED);
    assert_int_equal(ended(&p, true, 0, true), 0);
    assert_int_equal(ended(&p, true, 0, false), 10);
    assert_int_equal(ended(&p, true, KEEP_SAFE, false), 20);
}

static void an_upgrade_that_came_up_is_as_any_program(void **state)
{
    struct policy p = {.stage = STAGE_UPGRADED};
    policy_up(&p);
    assert_int_equal(policy_flags(&p), 0);
    assert_int_equal(ended(&p, true, 0, false), 0);
    assert_int_equal(ended(&p, true, 0, false), 10);
    assert_int_equal(ended(&p, true, KEEP_SAFE, false), 20);
    /* Being up in safe mode does not leave it. */
    policy_up(&p);
    assert_int_equal(policy_flags(&p), KEEP_SAFE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_death_before_up_is_a_crash),
        cmocka_unit_test(a_bug_soon_after_up_is_a_crash),
        cmocka_unit_test(being_killed_after_up_is_none),
        cmocka_unit_test(crashes_in_a_row_lead_to_safe_mode_then_to_the_other_program_and_on),
        cmocka_unit_test(it_never_gives_up_and_waits_at_most_five_seconds),
        cmocka_unit_test(a_death_that_is_no_crash_ends_the_row_and_changes_nothing_else),
        cmocka_unit_test(an_upgrade_has_one_try),
        cmocka_unit_test(an_upgrade_that_came_up_is_as_any_program),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
