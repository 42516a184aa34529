#include "remote/login_limit.h"

#include "tests/unit/support.h"

enum { START = 1000000, MINUTE = 60 * 1000 };

static struct login_limit *l;

static int set_up(void **state)
{
    l = login_limit_new(5, 4);
    return 0;
}

static int tear_down(void **state)
{
    login_limit_free(l);
    return 0;
}

static void fail_times(const char *key, int times, int64_t now_ms)
{
    while (times-- > 0)
        login_limit_failed(l, key, now_ms);
}

static void an_unknown_key_may_try(void **state)
{
    assert_int_equal(login_limit_wait_ms(l, "ann", START), 0);
    assert_int_equal(login_limit_count(l), 0);
}

static void the_first_failures_are_free(void **state)
{
    fail_times("ann", 4, START);
    assert_int_equal(login_limit_wait_ms(l, "ann", START), 0);
    assert_int_equal(login_limit_wait_ms(l, "bob", START), 0);
}

static void the_wait_doubles_from_one_second_up_to_five_minutes(void **state)
{
    int64_t now = START, expected = 1000;
    fail_times("ann", 5, now);
    for (int i = 0; i < 15; i++) {
        assert_int_equal(login_limit_wait_ms(l, "ann", now), expected);
        assert_int_equal(login_limit_wait_ms(l, "ann", now + expected - 1), 1);
        now += expected;
        assert_int_equal(login_limit_wait_ms(l, "ann", now), 0);
        login_limit_failed(l, "ann", now);
        expected = expected * 2 < 5 * MINUTE ? expected * 2 : 5 * MINUTE;
    }
    assert_int_equal(expected, 5 * MINUTE);
}

static void a_refused_try_does_not_make_the_wait_longer(void **state)
{
    fail_times("ann", 6, START);
    assert_int_equal(login_limit_wait_ms(l, "ann", START + 100), 1900);
    assert_int_equal(login_limit_wait_ms(l, "ann", START + 200), 1800);
}

static void an_hour_without_failure_forgets(void **state)
{
    fail_times("ann", 50, START);
    assert_int_equal(login_limit_wait_ms(l, "ann", START + 60 * MINUTE - 1), 0);
    assert_int_equal(login_limit_count(l), 1);
    assert_int_equal(login_limit_wait_ms(l, "ann", START + 60 * MINUTE), 0);
    assert_int_equal(login_limit_count(l), 0);
    fail_times("bob", 50, START);
    login_limit_failed(l, "bob", START + 61 * MINUTE);
    assert_int_equal(login_limit_wait_ms(l, "bob", START + 61 * MINUTE), 0);
}

static void a_taken_back_failure_takes_its_wait_along(void **state)
{
    fail_times("ann", 5, START);
    login_limit_take_back(l, "ann");
    assert_int_equal(login_limit_wait_ms(l, "ann", START), 0);
    fail_times("ann", 2, START);
    assert_int_equal(login_limit_wait_ms(l, "ann", START), 2000);
    login_limit_take_back(l, "ann");
    assert_int_equal(login_limit_wait_ms(l, "ann", START), 1000);
    for (int i = 0; i < 10; i++)
        login_limit_take_back(l, "ann");
    assert_int_equal(login_limit_count(l), 0);
}

static void forgetting_ends_the_wait(void **state)
{
    fail_times("ann", 9, START);
    login_limit_forget(l, "ann");
    login_limit_forget(l, "bob");
    assert_int_equal(login_limit_wait_ms(l, "ann", START), 0);
    assert_int_equal(login_limit_count(l), 0);
}

static void past_its_room_the_quietest_key_is_forgotten(void **state)
{
    fail_times("a", 9, START);
    fail_times("b", 9, START + 1);
    fail_times("c", 9, START + 2);
    fail_times("d", 9, START + 3);
    fail_times("a", 1, START + 4);
    fail_times("e", 9, START + 5);
    assert_int_equal(login_limit_count(l), 4);
    assert_int_equal(login_limit_wait_ms(l, "b", START + 6), 0);
    assert_true(login_limit_wait_ms(l, "a", START + 6) > 0);
    assert_true(login_limit_wait_ms(l, "e", START + 6) > 0);
}

static void a_long_key_is_cut(void **state)
{
    char key[200] = "";
    memset(key, 'x', 150);
    fail_times(key, 6, START);
    assert_int_equal(login_limit_count(l), 1);
    assert_true(login_limit_wait_ms(l, key, START) > 0);
}

static void assert_key(const char *address, const char *expected)
{
    char key[LOGIN_LIMIT_KEY];
    login_limit_address_key(address, key);
    assert_string_equal(key, expected);
}

static void one_client_has_64_bits_of_ipv6(void **state)
{
    assert_key("192.0.2.1", "192.0.2.1");
    assert_key("::ffff:192.0.2.1", "192.0.2.1");
    assert_key("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64");
    assert_key("2001:db8:1:2::9", "2001:db8:1:2::/64");
    assert_key("::1", "::/64");
    assert_key("", "");
    assert_key("no address", "no address");
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

static void failures_fade(void **state)
{
    struct login_limit *f = login_limit_new(10, 4);
    login_limit_fade(f, 1000);
    for (int i = 0; i < 10; i++)
        login_limit_failed(f, "ann", 0);
    assert_int_equal(login_limit_wait_ms(f, "ann", 0), 1000);
    /* One each second for an hour: never more than the free ones and a few. */
    for (int64_t now_ms = 2000; now_ms < 3600 * 1000; now_ms += 1000) {
        assert_int_equal(login_limit_wait_ms(f, "ann", now_ms), 0);
        login_limit_failed(f, "ann", now_ms);
    }
    login_limit_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_unknown_key_may_try),
        TEST(failures_fade),
        TEST(the_first_failures_are_free),
        TEST(the_wait_doubles_from_one_second_up_to_five_minutes),
        TEST(a_refused_try_does_not_make_the_wait_longer),
        TEST(an_hour_without_failure_forgets),
        TEST(a_taken_back_failure_takes_its_wait_along),
        TEST(forgetting_ends_the_wait),
        TEST(past_its_room_the_quietest_key_is_forgotten),
        TEST(a_long_key_is_cut),
        TEST(one_client_has_64_bits_of_ipv6),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
