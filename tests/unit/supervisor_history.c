#include "supervisor/history.h"

#include "tests/unit/support.h"

static struct history h;

static int set_up(void **state)
{
    memset(&h, 0, sizeof h);
    history_claim(&h, 7);
    return 0;
}

static void set(int64_t step, uint64_t number)
{
    const struct history_sample sample = {.cpu_percent = (double)number / 10,
                                          .memory_bytes = number << 12,
                                          .tree_bytes = number << 13,
                                          .fds = number,
                                          .threads = number + 1,
                                          .processes = (unsigned)number};
    history_set(&h, step, &sample);
}

static bool has(int64_t step)
{
    struct history_sample sample;
    return history_get(&h, step, &sample);
}

static void a_sample_comes_back(void **state)
{
    struct history_sample s;
    set(1000, 123);
    assert_true(history_get(&h, 1000, &s));
    assert_true(s.cpu_percent == 12.3);
    assert_int_equal(s.memory_bytes, 123 << 12);
    assert_int_equal(s.tree_bytes, 123 << 13);
    assert_int_equal(s.fds, 123);
    assert_int_equal(s.threads, 124);
    assert_int_equal(s.processes, 123);
    assert_false(has(999) || has(1001) || has(0) || has(-1) || has(1000 + HISTORY_STEPS));
}

static void large_numbers_keep_three_digits(void **state)
{
    for (uint64_t n = 1; n < 1ull << 40; n += n / 3 + 1) {
        const struct history_sample sample = {
            .cpu_percent = 6400, .memory_bytes = n << 12, .fds = n, .processes = 1000};
        struct history_sample s;
        history_set(&h, 5, &sample);
        assert_true(history_get(&h, 5, &s));
        assert_true(s.fds >= n - n / 2000 && s.fds <= n + n / 2000);
        assert_true(n > 2047 || s.fds == n);
        assert_true(s.memory_bytes >> 12 == s.fds);
        assert_true(s.cpu_percent > 6390 && s.cpu_percent < 6410);
        assert_int_equal(s.processes, 255);
    }
}

static void it_holds_an_hour(void **state)
{
    for (int64_t step = 1; step <= 1000; step++)
        set(step, (uint64_t)step % 200 + 1);
    for (int64_t step = 1; step <= 1001; step++)
        assert_int_equal(has(step), step > 1000 - HISTORY_STEPS && step <= 1000);
}

static void steps_that_were_skipped_are_empty(void **state)
{
    for (int64_t step = 1; step <= 400; step++)
        set(step, 5);
    set(500, 5);
    for (int64_t step = 401; step < 500; step++)
        assert_false(has(step));
    assert_true(has(400) && has(500) && has(141) && !has(140));
    set(5000, 5);
    for (int64_t step = 4000; step < 5000; step++)
        assert_false(has(step));
    set(4999, 5);
    set(4640, 5);
    assert_true(has(4999) && has(5000) && !has(4640));
}

static void what_another_has_left_is_not_taken_over(void **state)
{
    set(100, 5);
    history_claim(&h, 7);
    assert_true(has(100));
    history_claim(&h, 8);
    assert_false(has(100));
    set(100, 5);
    h.version++;
    history_claim(&h, 8);
    assert_false(has(100));
    assert_int_equal(h.version, HISTORY_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_sample_comes_back, set_up),
        cmocka_unit_test_setup(large_numbers_keep_three_digits, set_up),
        cmocka_unit_test_setup(it_holds_an_hour, set_up),
        cmocka_unit_test_setup(steps_that_were_skipped_are_empty, set_up),
        cmocka_unit_test_setup(what_another_has_left_is_not_taken_over, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
