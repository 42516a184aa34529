#include "supervisor/oom.h"

#include "tests/unit/support.h"

static void a_record_names_the_process_that_was_killed(void **state)
{
    const char *record = "3,812,900000000,-;Out of memory: Killed process 1234 (node) total-vm:1kB";
    assert_true(oom_record_names(record, 1234, 900000000));
    assert_true(oom_record_names(record, 1234, 0));
    assert_false(oom_record_names(record, 123, 0));
    assert_false(oom_record_names(record, 12345, 0));
    assert_false(oom_record_names(record, 1234, 900000001));
    assert_true(oom_record_names(
        "3,812,5,-;Memory cgroup out of memory: Killed process 7 (a) total-vm:1kB", 7, 5));
}

static void other_records_do_not(void **state)
{
    static const char *const records[] = {
        "",
        ";",
        "Killed process 7",
        "6,1,2,-;Killed process 7 (node)",
        "6,1,-;Out of memory: Killed process 7 (node)",
        "6,1,2,-;node: Out of memory",
        "6,1,2,-;Killed process 7 (x) Out of memory",
        "6,1,2,-;Out of memory: Killed process (x)",
    };
    for (size_t i = 0; i < ARRAY_SIZE(records); i++)
        assert_false(oom_record_names(records[i], 7, 0));
}

static void without_a_kill_since_it_was_started_it_was_not_that(void **state)
{
    assert_int_equal(oom_judge(getpid(), oom_kills(), 0), OOM_NO);
    assert_int_equal(oom_judge(getpid(), UINT64_MAX, 0), OOM_NO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_names_the_process_that_was_killed),
        cmocka_unit_test(other_records_do_not),
        cmocka_unit_test(without_a_kill_since_it_was_started_it_was_not_that),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
