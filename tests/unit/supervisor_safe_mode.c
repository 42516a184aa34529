#include "supervisor/safe_mode.h"

#include "tests/unit/bare_supervisor.h"

#include <signal.h>

#include "lib/base/json.h"
#include "lib/base/str.h"
#include "supervisor/views.h"

static struct supervisor sup;

static int set_up(void **state)
{
    return bare_open(&sup);
}

static int tear_down(void **state)
{
    sup.keep.sock = -1;
    return bare_close(&sup);
}

static void says_how_a_supervisor_ended(void **state)
{
    char text[SAFE_MODE_END_TEXT];
    assert_string_equal(safe_mode_end(SIGKILL, text), "killed by signal 9");
    assert_string_equal(safe_mode_end(SIGSEGV | 0x80, text), "killed by signal 11");
    assert_string_equal(safe_mode_end(0, text), "exited with code 0");
    assert_string_equal(safe_mode_end(255 << 8, text), "exited with code 255");
    assert_string_equal(safe_mode_end(KEEP_BECAME_KEEPER, text),
                        "became the keeper when that was killed");
}

static void has_a_sentence_only_when_it_only_watches(void **state)
{
    assert_null(safe_mode_explain(&sup));
    sup.safe = true;
    sup.keep.last_status = SIGSEGV;
    AUTOFREE char *text = safe_mode_explain(&sup);
    assert_non_null(text);
    assert_true(str_starts(text, "safe mode: "));
    assert_non_null(strstr(text, "killed by signal 11"));
    assert_non_null(strstr(text, "'proctor upgrade'"));
}

static void ping_tells_of_the_keeper_where_there_is_one(void **state)
{
    sup.home = (char *)"/srv/home";
    AUTOJSON json_t *alone = view_supervisor(&sup);
    assert_int_equal(json_get_int(alone, "pid", 0), getpid());
    assert_string_equal(json_get_string(alone, "home", ""), "/srv/home");
    assert_null(json_object_get(alone, "keeper_pid"));
    assert_null(json_object_get(alone, "safe_mode"));

    sup.keep = (struct keep_link){.sock = 0, .keeper_pid = 77, .starts = 1};
    AUTOJSON json_t *first = view_supervisor(&sup);
    assert_int_equal(json_get_int(first, "keeper_pid", 0), 77);
    assert_int_equal(json_get_int(first, "starts", 0), 1);
    assert_false(json_get_bool(first, "safe_mode", true));
    assert_false(json_get_bool(first, "rolled_back", true));
    assert_null(json_object_get(first, "last_end"));

    sup.safe = true;
    sup.keep.flags = KEEP_ROLLED_BACK;
    sup.keep.last_status = 3 << 8;
    sup.keep.last_ended_ms = (int64_t)(uv_hrtime() / 1000000) - 500;
    AUTOJSON json_t *later = view_supervisor(&sup);
    const json_t *end = json_object_get(later, "last_end");
    assert_true(json_get_bool(later, "safe_mode", false));
    assert_true(json_get_bool(later, "rolled_back", false));
    assert_string_equal(json_get_string(end, "how", ""), "exited with code 3");
    assert_in_range(json_get_int(end, "ago_ms", 0), 500, 60000);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_how_a_supervisor_ended),
        TEST(has_a_sentence_only_when_it_only_watches),
        TEST(ping_tells_of_the_keeper_where_there_is_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
