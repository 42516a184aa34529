#include "supervisor/node_flags.h"

#include "tests/unit/support.h"

#include "ecosystem/spec.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "supervisor/runtime.h"

static const char port_8[] = "--inspect-port=127.0.0.1:0";
static const char port_10[] = "--debug_port=127.0.0.1:0";
static const char port_12[] = "--debug_port=127.0.0.1:0 \"--in\\spect-publish-uid=stderr\"";

static struct app_spec spec;
static struct strlist env;
static bool user_opens;

static int set_up(void **state)
{
    app_spec_init(&spec);
    return 0;
}

static int tear_down(void **state)
{
    app_spec_clear(&spec);
    strlist_clear(&env);
    return 0;
}

static enum inspector_flags apply(int major)
{
    const struct runtime_version version = {.is_node = true, .major = major};
    user_opens = !user_opens;
    return node_flags_apply(&version, &spec, &env, &user_opens);
}

static int refusal(int major)
{
    const struct runtime_version version = {.is_node = true, .major = major};
    int error = 0;
    const char *text = node_flags_refusal(&version, &spec, &env, &error);
    assert_true(!text || strlen(text) > 10);
    return text ? error : 0;
}

static void assert_options(const char *expected)
{
    const char *options = env_get(&env, "NODE_OPTIONS");
    if (expected)
        assert_string_equal(options, expected);
    else
        assert_null(options);
}

static void each_version_gets_the_spelling_that_is_safe_for_it(void **state)
{
    static const struct {
        int major;
        bool forced;
        const char *options; /* NULL: nothing is added */
    } rows[] = {
        {4, false, NULL},     {6, false, NULL},     {6, true, NULL},      {8, false, NULL},
        {8, true, port_8},    {9, false, NULL},     {9, true, NULL},      {10, false, port_10},
        {11, false, port_10}, {12, false, port_12}, {14, false, port_12}, {20, false, port_12},
        {26, false, port_12}, {26, true, port_12},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        strlist_clear(&env);
        if (rows[i].forced)
            env_set(&env, "FORCE_INSPECTOR", "1");
        assert_int_equal(apply(rows[i].major), rows[i].options ? FLAGS_OURS : FLAGS_NONE);
        assert_options(rows[i].options);
        assert_false(user_opens);
        assert_int_equal(refusal(rows[i].major), rows[i].options ? 0 : ERR_UNSUPPORTED_VERSION);
    }
}

static void nothing_that_cluster_would_see_is_written_from_10_on(void **state)
{
    /* A primary that finds "--inspect" in NODE_OPTIONS gives its workers a port they die of. */
    for (int major = 10; major < 30; major++) {
        strlist_clear(&env);
        assert_int_equal(apply(major), FLAGS_OURS);
        assert_null(strstr(env_get(&env, "NODE_OPTIONS"), "--inspect"));
    }
}

static void the_users_options_are_kept_in_front(void **state)
{
    env_set(&env, "NODE_OPTIONS", "--max-old-space-size=4096 --require ./a.js");
    env_set(&env, "PATH", "/bin");
    assert_int_equal(apply(20), FLAGS_OURS);
    AUTOFREE char *expected = xasprintf("--max-old-space-size=4096 --require ./a.js %s", port_12);
    assert_options(expected);
    assert_string_equal(env_get(&env, "PATH"), "/bin");
    env_set(&env, "NODE_OPTIONS", "");
    assert_int_equal(apply(20), FLAGS_OURS);
    assert_options(port_12);
}

static void the_users_own_inspector_options_are_left_alone(void **state)
{
    static const struct {
        const char *options;
        bool opens;
    } rows[] = {
        {"--inspect", true},
        {"--inspect=0.0.0.0:9229", true},
        {"--trace-warnings --inspect-brk=0 --foo", true},
        {"--inspect-brk", true},
        {"--inspect-wait", true},
        {"--inspect --foo", true},
        {"--inspect-port=9300", false},
        {"--inspect_port=9300", false},
        {"--debug-port=9300", false},
        {"--debug_port=9300", false},
        {"--inspect-publish-uid=http", false},
        {"--inspect-port=9300 --inspect", true},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        env_set(&env, "NODE_OPTIONS", rows[i].options);
        assert_int_equal(apply(20), FLAGS_USERS);
        assert_options(rows[i].options);
        assert_int_equal(user_opens, rows[i].opens);
        /* The same on the command line. */
        env_unset(&env, "NODE_OPTIONS");
        strlist_add(&spec.node_args, "--foo");
        strlist_add(&spec.node_args, rows[i].options);
        assert_int_equal(apply(20), FLAGS_USERS);
        assert_options(NULL);
        assert_int_equal(user_opens, rows[i].opens);
        strlist_clear(&spec.node_args);
    }
}

static void node_8_is_opened_only_when_forced(void **state)
{
    static const struct {
        const char *value;
        bool forced;
    } rows[] = {{"1", true}, {"true", true}, {"0", false},
                {"", false}, {"yes", false}, {"11", false}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        env_unset(&env, "NODE_OPTIONS");
        env_set(&env, "FORCE_INSPECTOR", rows[i].value);
        assert_int_equal(apply(8), rows[i].forced ? FLAGS_OURS : FLAGS_NONE);
        assert_options(rows[i].forced ? port_8 : NULL);
    }
}

static void profiling_that_is_off_adds_nothing(void **state)
{
    spec.profiling = PROFILING_OFF;
    assert_int_equal(apply(20), FLAGS_NONE);
    assert_options(NULL);
    assert_int_equal(refusal(20), ERR_POLICY);
    spec.profiling = PROFILING_ALWAYS;
    assert_int_equal(refusal(20), 0);
    assert_int_equal(apply(20), FLAGS_OURS);
}

static void what_is_no_node_gets_nothing(void **state)
{
    const struct runtime_version version = {0};
    int error = 0;
    env_set(&env, "NODE_OPTIONS", "--inspect");
    assert_int_equal(node_flags_apply(&version, &spec, &env, &user_opens), FLAGS_NONE);
    assert_options("--inspect");
    assert_non_null(strstr(node_flags_refusal(&version, &spec, &env, &error), "interpreter"));
    assert_int_equal(error, ERR_UNSUPPORTED_VERSION);
}

#define WITH_SPEC(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SPEC(each_version_gets_the_spelling_that_is_safe_for_it),
        WITH_SPEC(nothing_that_cluster_would_see_is_written_from_10_on),
        WITH_SPEC(the_users_options_are_kept_in_front),
        WITH_SPEC(the_users_own_inspector_options_are_left_alone),
        WITH_SPEC(node_8_is_opened_only_when_forced),
        WITH_SPEC(profiling_that_is_off_adds_nothing),
        WITH_SPEC(what_is_no_node_gets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
