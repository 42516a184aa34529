#include "supervisor/policy.h"

#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "lib/base/err.h"
#include "lib/base/limits.h"

static struct policy policy;
static char *path;
static char text[500];

static int set_up(void **state)
{
    /* The log lines of broken files are not what is looked at here. */
    (void)setenv("PROCTOR_LOG", "error", 1);
    if (make_folder(state) < 0)
        return -1;
    path = in_folder("policy.json");
    policy_init(&policy, path);
    return 0;
}

static int tear_down(void **state)
{
    policy_clear(&policy);
    free(path);
    return remove_folder(state);
}

static int read_text(const char *json)
{
    return policy_read(&policy, json, strlen(json));
}

static int ask(const struct policy_ask *what)
{
    text[0] = '\0';
    policy_refresh(&policy);
    int r = policy_check(&policy, what, text, sizeof text);
    assert_true(r == 0 || r == ERR_POLICY);
    /* The first words are promised to those who must tell a refusal from other failures. */
    assert_true(r == 0 || str_starts(text, "the policy of this host"));
    return r;
}

static int check(const char *kind, const char *app, int64_t duration_ms, int node_major)
{
    const struct policy_ask what = {
        .kind = kind, .app = app, .duration_ms = duration_ms, .node_major = node_major};
    int r = ask(&what);
    assert_true(r == 0 || strstr(text, path));
    return r;
}

/* What a console's account asks for; `role` NULL: the console itself, for its page. */
static int check_away(const char *role)
{
    const struct policy_ask what = {
        .kind = "cpu", .app = "web", .node_major = 20, .away = true, .role = role};
    int r = ask(&what);
    assert_null(strstr(text, path));
    return r;
}

static int check_web(void)
{
    return check("cpu", "web", 10000, 20);
}

/* ---- the text -------------------------------------------------------------------------------- */

static void without_a_text_the_defaults_hold(void **state)
{
    assert_int_equal(policy_read(&policy, NULL, 0), 0);
    assert_int_equal(policy.kinds.count, 3);
    assert_int_equal(policy.apps.count, 0);
    assert_int_equal(policy.max_duration_ms, LIMIT_CAPTURE_DURATION_MS);
    assert_true(policy.legacy);
    assert_true(policy.logs);
    assert_int_equal(policy.roles.count, 2);
    assert_int_equal(read_text("{}"), 0);
    assert_int_equal(policy.kinds.count, 3);
    assert_int_equal(policy.roles.count, 2);
}

static void reads_every_key(void **state)
{
    assert_int_equal(read_text("{\"kinds\":[\"heap\"],\"max_duration\":\"2m\",\"apps\":[\"a\",\"b*"
                               "\"],\"legacy\":false,\"logs\":false,\"roles\":[\"admin\"]}"),
                     0);
    assert_int_equal(policy.kinds.count, 1);
    assert_string_equal(policy.kinds.items[0], "heap");
    assert_int_equal(policy.apps.count, 2);
    assert_int_equal(policy.max_duration_ms, 120000);
    assert_false(policy.legacy);
    assert_false(policy.logs);
    assert_int_equal(policy.roles.count, 1);
    assert_string_equal(policy.roles.items[0], "admin");
    /* What is missing in the next text is at its default again. */
    assert_int_equal(read_text("{\"kinds\":[]}"), 0);
    assert_int_equal(policy.kinds.count, 0);
    assert_int_equal(policy.apps.count, 0);
    assert_true(policy.legacy);
    assert_true(policy.logs);
    assert_int_equal(policy.roles.count, 2);
}

static void reads_durations_as_times_or_milliseconds(void **state)
{
    static const struct {
        const char *json;
        int64_t ms;
    } rows[] = {
        {"{\"max_duration\":5000}", 5000},   {"{\"max_duration\":\"5s\"}", 5000},
        {"{\"max_duration\":\"250\"}", 250}, {"{\"max_duration\":\"1h\"}", 3600000},
        {"{\"max_duration\":1}", 1},         {"{\"max_duration\":\"1.5 min\"}", 90000},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(read_text(rows[i].json), 0);
        assert_int_equal(policy.max_duration_ms, rows[i].ms);
    }
}

static void a_wrong_text_is_told_in_one_sentence(void **state)
{
    static const struct {
        const char *json;
        const char *part;
    } rows[] = {
        {"", "line "},
        {"{\n\"kinds\": [\"cpu\",]\n}", "line 2"},
        {"[]", "must be one object"},
        {"null x", "line 1"},
        {"{\"kinds\":[],\"kinds\":[]}", "line 1"},
        {"{\"kind\":[]}", "unknown key \"kind\", did you mean \"kinds\"?"},
        {"{\"max_durration\":1}", "did you mean \"max_duration\"?"},
        {"{\"port\":1}", "unknown key \"port\""},
        {"{\"kinds\":\"cpu\"}", "\"kinds\" must be an array"},
        {"{\"kinds\":[1]}", "\"kinds\" must hold strings only"},
        {"{\"apps\":{}}", "\"apps\" must be an array"},
        {"{\"logs\":null}", "\"logs\" must be true or false"},
        {"{\"log\":true}", "unknown key \"log\", did you mean \"logs\"?"},
        {"{\"legacy\":\"no\"}", "\"legacy\" must be true or false"},
        {"{\"roles\":\"admin\"}", "\"roles\" must be an array"},
        {"{\"roles\":[true]}", "\"roles\" must hold strings only"},
        {"{\"roles\":[\"admn\"]}", "unknown role \"admn\", did you mean \"admin\"?"},
        {"{\"roles\":[\"viewer\",\"*\"]}", "unknown role \"*\""},
        {"{\"max_duration\":0}", "\"max_duration\" must be a time"},
        {"{\"max_duration\":-5}", "\"max_duration\" must be a time"},
        {"{\"max_duration\":1.5}", "\"max_duration\" must be a time"},
        {"{\"max_duration\":\"soon\"}", "\"max_duration\" must be a time"},
        {"{\"max_duration\":\"0s\"}", "\"max_duration\" must be a time"},
        {"{\"max_duration\":null}", "\"max_duration\" must be a time"},
        {"{\"max_duration\":9223372036854775807}", "\"max_duration\" must be a time"},
        {"{\"max_duration\":-9223372036854775808}", "\"max_duration\" must be a time"},
        {"{\"max_duration\":\"99999999999d\"}", "\"max_duration\" must be a time"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(read_text(rows[i].json), ERR_INVALID);
        if (!strstr(policy.broken, rows[i].part))
            fail_msg("%s: %s", rows[i].json, policy.broken);
    }
    assert_int_equal(read_text("{}"), 0);
    assert_null(policy.broken);
}

static void a_key_of_any_length_is_told(void **state)
{
    AUTOFREE char *key = xcalloc(1, 5001);
    memset(key, 'x', 5000);
    AUTOFREE char *json = xasprintf("{\"%s\":1}", key);
    assert_int_equal(read_text(json), ERR_INVALID);
    assert_true(strlen(policy.broken) < 500);
}

/* ---- asking ---------------------------------------------------------------------------------- */

static void without_a_file_the_usual_may_be_captured(void **state)
{
    assert_int_equal(check_web(), 0);
    assert_int_equal(check("heap", "any app", 0, 8), 0);
    assert_int_equal(check("cpu", "web", LIMIT_CAPTURE_DURATION_MS, 0), 0);
    assert_int_equal(check("cpu", "web", LIMIT_CAPTURE_DURATION_MS + 1, 0), ERR_POLICY);
    assert_non_null(strstr(text, "at most 300 seconds"));
    assert_int_equal(check("snapshot", "web", 0, 20), ERR_POLICY);
    assert_non_null(strstr(text, "kind snapshot"));
}

static void kinds_and_apps_are_patterns(void **state)
{
    put_file(path, "{\"kinds\":[\"c*\"],\"apps\":[\"api\",\"web*\",\"[xy]?\"]}");
    assert_int_equal(check("cpu", "api", 0, 20), 0);
    assert_int_equal(check("cpu", "web", 0, 20), 0);
    assert_int_equal(check("cpu", "web-2", 0, 20), 0);
    assert_int_equal(check("cpu", "x1", 0, 20), 0);
    assert_int_equal(check("heap", "api", 0, 20), ERR_POLICY);
    assert_int_equal(check("cpu", "api2", 0, 20), ERR_POLICY);
    assert_non_null(strstr(text, "captures of api2"));
    assert_int_equal(check("cpu", "my-web", 0, 20), ERR_POLICY);
    assert_int_equal(check("cpu", "", 0, 20), ERR_POLICY);
}

static void no_kinds_means_nothing(void **state)
{
    put_file(path, "{\"kinds\":[]}");
    assert_int_equal(check_web(), ERR_POLICY);
}

static void legacy_off_refuses_node_8_to_10(void **state)
{
    put_file(path, "{\"legacy\":false}");
    assert_int_equal(check("cpu", "web", 0, 8), ERR_POLICY);
    assert_int_equal(check("cpu", "web", 0, 10), ERR_POLICY);
    assert_non_null(strstr(text, "Node 8 to 10"));
    assert_int_equal(check("cpu", "web", 0, 12), 0);
    assert_int_equal(check("cpu", "web", 0, 0), 0);
}

static void operators_and_admins_of_a_console_may_capture(void **state)
{
    assert_int_equal(check_away("operator"), 0);
    assert_int_equal(check_away("admin"), 0);
    assert_int_equal(check_away(NULL), 0);
    assert_int_equal(check_away("viewer"), ERR_POLICY);
    assert_non_null(strstr(text, "account of role viewer"));
    assert_int_equal(check_away("root"), ERR_POLICY);
    assert_int_equal(check_away(""), ERR_POLICY);
}

static void roles_say_who_of_a_console_may_capture(void **state)
{
    put_file(path, "{\"roles\":[\"admin\"]}");
    assert_int_equal(check_away("operator"), ERR_POLICY);
    assert_int_equal(check_away("admin"), 0);
    assert_int_equal(check_away(NULL), 0);
    /* They are not about people on this host. */
    assert_int_equal(check_web(), 0);
}

static void no_roles_mean_no_console(void **state)
{
    put_file(path, "{\"roles\":[]}");
    assert_int_equal(check_away("admin"), ERR_POLICY);
    assert_non_null(strstr(text, "allows no console"));
    assert_int_equal(check_away(NULL), ERR_POLICY);
    assert_int_equal(check_web(), 0);
}

static void a_console_is_refused_what_people_here_are(void **state)
{
    put_file(path, "{\"kinds\":[\"heap\"]}");
    assert_int_equal(check_away("admin"), ERR_POLICY);
    assert_non_null(strstr(text, "kind cpu"));
    put_file(path, "{\"legacy\":1, \"secret name\":1}");
    assert_int_equal(check_away("admin"), ERR_POLICY);
    assert_non_null(strstr(text, "has a mistake"));
    assert_null(strstr(text, "secret name"));
}

static void a_changed_file_is_read_again(void **state)
{
    assert_int_equal(check_web(), 0);
    put_file(path, "{\"kinds\":[\"heap\"]}");
    assert_int_equal(check_web(), ERR_POLICY);
    put_file(path, "{\"kinds\":[\"heap\",\"cpu\"]}");
    assert_int_equal(check_web(), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(check("stack", "web", 0, 20), 0);
}

static void a_change_of_the_same_length_is_seen(void **state)
{
    put_file(path, "{\"kinds\":[\"cpu\"],\"apps\":[\"web\"]}");
    assert_int_equal(check_web(), 0);
    AUTOFREE char *next = in_folder("next");
    put_file(next, "{\"kinds\":[\"cpu\"],\"apps\":[\"api\"]}");
    const struct timespec later[2] = {{.tv_sec = 2000000000}, {.tv_sec = 2000000000}};
    assert_int_equal(utimensat(AT_FDCWD, next, later, 0), 0);
    assert_int_equal(rename(next, path), 0);
    assert_int_equal(check_web(), ERR_POLICY);
}

static void a_broken_file_refuses_everything_until_it_is_mended(void **state)
{
    put_file(path, "{\"kinds\":[\"cpu\"]");
    assert_int_equal(check_web(), ERR_POLICY);
    assert_int_equal(check_web(), ERR_POLICY);
    put_file(path, "{\"legacy\":1}");
    assert_int_equal(check_web(), ERR_POLICY);
    assert_non_null(strstr(text, "\"legacy\" must be true or false"));
    put_file(path, "{}");
    assert_int_equal(check_web(), 0);
    AUTOFREE char *huge = xcalloc(1, LIMIT_POLICY_FILE + 2);
    memset(huge, ' ', LIMIT_POLICY_FILE + 1);
    huge[0] = '{';
    put_file(path, huge);
    assert_int_equal(check_web(), ERR_POLICY);
    assert_non_null(strstr(text, err_str(ERR_TOO_BIG)));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(check_web(), ERR_POLICY);
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(check_web(), 0);
}

static void a_folder_that_cannot_be_entered_for_a_while_is_mended_too(void **state)
{
    AUTOFREE char *home = in_folder("home"), *away = in_folder("away"),
                  *inside = in_folder("home/policy.json");
    assert_int_equal(mkdir(home, 0700), 0);
    put_file(inside, "{\"kinds\":[\"cpu\"]}");
    policy_clear(&policy);
    policy_init(&policy, inside);
    free(path);
    path = xstrdup(inside);
    assert_int_equal(check_web(), 0);
    assert_int_equal(rename(home, away), 0);
    put_file(home, "a file in its place\n");
    assert_int_equal(check_web(), ERR_POLICY);
    assert_non_null(strstr(text, err_str(-ENOTDIR)));
    assert_int_equal(unlink(home), 0);
    assert_int_equal(rename(away, home), 0);
    assert_int_equal(check_web(), 0);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(without_a_text_the_defaults_hold),
        IN_FOLDER(reads_every_key),
        IN_FOLDER(reads_durations_as_times_or_milliseconds),
        IN_FOLDER(a_wrong_text_is_told_in_one_sentence),
        IN_FOLDER(a_key_of_any_length_is_told),
        IN_FOLDER(without_a_file_the_usual_may_be_captured),
        IN_FOLDER(kinds_and_apps_are_patterns),
        IN_FOLDER(no_kinds_means_nothing),
        IN_FOLDER(legacy_off_refuses_node_8_to_10),
        IN_FOLDER(operators_and_admins_of_a_console_may_capture),
        IN_FOLDER(roles_say_who_of_a_console_may_capture),
        IN_FOLDER(no_roles_mean_no_console),
        IN_FOLDER(a_console_is_refused_what_people_here_are),
        IN_FOLDER(a_changed_file_is_read_again),
        IN_FOLDER(a_change_of_the_same_length_is_seen),
        IN_FOLDER(a_broken_file_refuses_everything_until_it_is_mended),
        IN_FOLDER(a_folder_that_cannot_be_entered_for_a_while_is_mended_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
