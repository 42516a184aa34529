#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ecosystem/config_error.h"
#include "ecosystem/ecosystem.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"

static struct ecosystem *load(const char *text)
{
    struct ecosystem *eco = NULL;
    struct config_error error;
    char space[CONFIG_ERROR_TEXT];
    if (ecosystem_load_text("apps.json", text, strlen(text), &eco, NULL, &error) < 0)
        fail_msg("%s", config_error_format(&error, space));
    return eco;
}

static void expect_error(const char *text, int code, const char *message)
{
    struct ecosystem *eco = NULL;
    struct config_error error;
    char space[CONFIG_ERROR_TEXT];
    assert_int_equal(ecosystem_load_text("apps.json", text, strlen(text), &eco, NULL, &error),
                     code);
    assert_null(eco);
    assert_string_equal(config_error_format(&error, space), message);
}

#define APP(members) "{\"apps\":[{\"name\":\"api\",\"script\":\"a.js\",\n" members "}]}"

/* An app with these members on line 2 is refused. */
static void refuse(const char *members, const char *message)
{
    AUTOFREE char *text =
        xasprintf("{\"apps\":[{\"name\":\"api\",\"script\":\"a.js\",\n%s}]}", members);
    AUTOFREE char *whole = xasprintf("apps.json:2: app \"api\": %s", message);
    expect_error(text, ERR_INVALID, whole);
}

/* An app with these members gives this one warning, or none. */
static void warns(const char *members, const char *warning)
{
    AUTOFREE char *text =
        xasprintf("{\"apps\":[{\"name\":\"api\",\"script\":\"a.js\",\n%s}]}", members);
    AUTOECO struct ecosystem *eco = load(text);
    assert_int_equal(eco->warnings.count, warning ? 1 : 0);
    if (!warning)
        return;
    AUTOFREE char *whole = xasprintf("apps.json:2: app \"api\": %s", warning);
    assert_string_equal(eco->warnings.items[0], whole);
}

static void reads_every_field(void **state)
{
    AUTOECO struct ecosystem *eco = load(
        "{\"apps\":[{\"name\":\"api\",\"script\":\"a.js\",\"args\":[\"-p\",80],\"cwd\":\"/srv\",\n"
        "\"env\":{\"A\":\"x\",\"B\":1.50,\"C\":true},\"env_production\":{\"A\":\"y\"},\n"
        "\"instances\":3,\"interpreter\":\"node\",\"node_args\":\"--a '--b "
        "c'\",\"autorestart\":false,\n"
        "\"restart_delay\":\"1.5s\",\"max_restarts\":\"7\",\"min_uptime\":\"2m\",\"kill_timeout\":"
        "\"3000ms\",\n"
        "\"profiling\":\"always\",\"inspector\":true,\"env_inherit\":false}]}");
    assert_int_equal(eco->count, 1);
    const struct app_spec *s = &eco->apps[0];
    assert_string_equal(s->name, "api");
    assert_string_equal(s->script, "a.js");
    assert_int_equal(s->args.count, 2);
    assert_string_equal(s->args.items[1], "80");
    assert_string_equal(s->cwd, "/srv");
    assert_string_equal(env_get(&s->env, "A"), "x");
    assert_string_equal(env_get(&s->env, "B"), "1.50");
    assert_string_equal(env_get(&s->env, "C"), "true");
    assert_int_equal(s->env_named_count, 1);
    assert_int_equal(s->instances, 3);
    assert_string_equal(s->interpreter, "node");
    assert_int_equal(s->node_args.count, 2);
    assert_string_equal(s->node_args.items[1], "--b c");
    assert_false(s->autorestart);
    assert_int_equal(s->restart_delay_ms, 1500);
    assert_int_equal(s->max_restarts, 7);
    assert_int_equal(s->min_uptime_ms, 120000);
    assert_int_equal(s->kill_timeout_ms, 3000);
    assert_int_equal(s->profiling, PROFILING_ALWAYS);
    assert_true(s->inspector);
    assert_false(s->env_inherit);
    assert_int_equal(eco->warnings.count, 0);
}

static void accepts_every_shape(void **state)
{
    static const char *const shapes[] = {
        "{\"apps\":[{\"script\":\"a.js\"}]}",
        "{\"apps\":{\"script\":\"a.js\"}}",
        "{\"pm2\":[{\"script\":\"a.js\"}]}",
        "{\"cmd\":\"a.js\"}",
        "[{\"script\":\"a.js\"}]",
        "\xef\xbb\xbf[{\"script\":\"a.js\"}]",
        "{\"deploy\":{\"x\":[{}]},\"apps\":[{\"exec\":\"a.js\"}]}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
        AUTOECO struct ecosystem *eco = load(shapes[i]);
        assert_int_equal(eco->count, 1);
        assert_string_equal(eco->apps[0].script, "a.js");
        assert_null(eco->apps[0].name);
        assert_int_equal(eco->warnings.count, 0);
    }
}

static void refuses_other_shapes(void **state)
{
    expect_error("17", ERR_INVALID,
                 "apps.json:1: expected an object with \"apps\" or a list of apps, found 17");
    expect_error("\n{\"x\":1}", ERR_INVALID,
                 "apps.json:2: there is neither \"apps\" nor \"script\" in it; "
                 "write {\"apps\": [{\"name\": …, \"script\": …}]}");
    expect_error("{\"apps\":\n5}", ERR_INVALID,
                 "apps.json:2: key \"apps\": expected a list of apps, found 5");
    expect_error("{\"apps\":[]}", ERR_INVALID,
                 "apps.json:1: key \"apps\": the list of apps is empty");
    expect_error("[\n\"a.js\"]", ERR_INVALID,
                 "apps.json:2: expected an app object, found \"a.js\"");
    expect_error("{\"apps\":[{\"script\":\"a\"}],\n\"pm2\":[]}", ERR_INVALID,
                 "apps.json:2: key \"pm2\": says the same as \"apps\" (line 1); keep one of them");
    expect_error("{\"apps\":[\n{\"name\":\"api\"}]}", ERR_INVALID,
                 "apps.json:2: app \"api\": key \"script\": missing; every app needs one");
}

static void finds_the_slip_behind_a_missing_key(void **state)
{
    expect_error("{\"apps\":[{\"name\":\"api\",\n\"scirpt\":\"a.js\"}]}", ERR_INVALID,
                 "apps.json:1: app \"api\": key \"script\": missing; every app needs one; "
                 "did you mean \"script\" for \"scirpt\" (line 2)?");
    expect_error("{\n\"app\":[{\"script\":\"a.js\"}]}", ERR_INVALID,
                 "apps.json:1: there is neither \"apps\" nor \"script\" in it; "
                 "did you mean \"apps\" for \"app\" (line 2)?");
    expect_error("{\"name\":\"api\",\n\"skript\":\"a.js\"}", ERR_INVALID,
                 "apps.json:1: there is neither \"apps\" nor \"script\" in it; "
                 "did you mean \"script\" for \"skript\" (line 2)?");
    /* A key that means something is no slip. */
    expect_error("[{\"cwd\":\"/\",\"env_script\":{}}]", ERR_INVALID,
                 "apps.json:1: key \"script\": missing; every app needs one");
}

static void hands_out_the_warnings_of_a_file_that_cannot_be_used(void **state)
{
    char path[] = "/tmp/ecosystem-XXXXXX";
    static const char text[] = "[{\"script\":\"a\",\"instnces\":1,\n\"env\":7}]";
    AUTOCLOSE int fd = mkstemp(path);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    struct config_error error;
    struct ecosystem *eco = NULL;
    AUTOSTRLIST struct strlist warnings = {0};
    int r = ecosystem_load_file(path, &eco, &warnings, &error);
    (void)unlink(path);
    assert_int_equal(r, ERR_INVALID);
    assert_null(eco);
    assert_int_equal(warnings.count, 1);
    assert_non_null(strstr(warnings.items[0], "unknown key \"instnces\""));
}

static void names_line_and_column_of_syntax_errors(void **state)
{
    expect_error("", ERR_SYNTAX, "apps.json:1:1: the text ends too early");
    expect_error("{\"apps\": [\n  {\"script\": \"a.js\",,}\n]}", ERR_SYNTAX,
                 "apps.json:2:21: unexpected character ','");
    expect_error("{\n  # apps\n}", ERR_SYNTAX,
                 "apps.json:2:3: unexpected character '#'; a comment begins with //");
    expect_error("{'apps':[", ERR_SYNTAX, "apps.json:1:10: the text ends too early");
    expect_error("{\"apps\":[]\n\"x\":1}", ERR_SYNTAX,
                 "apps.json:2:1: unexpected character '\"'; a comma, a colon or a quote is missing "
                 "before it");
    expect_error("[1}", ERR_SYNTAX, "apps.json:1:3: unexpected character '}'");
    expect_error(
        "module.exports = {}", ERR_SYNTAX,
        "apps.json:1:1: unexpected word 'module'; a file of JavaScript is named .config.js");
    expect_error("{apps: [{script: server}]}", ERR_SYNTAX,
                 "apps.json:1:18: unexpected word 'server'; a string stands in quotes");
}

static void takes_what_people_write_for_json(void **state)
{
    AUTOECO struct ecosystem *eco = load("// apps\n{apps: [\n  {script: 'a.js', /* two */\n"
                                         "  'kill_timeout': 0x10, env: {A: +1,},},\n]}\n");
    assert_int_equal(eco->apps[0].line, 3);
    assert_int_equal(eco->apps[0].kill_timeout_ms, 16);
    assert_string_equal(env_get(&eco->apps[0].env, "A"), "1");
    expect_error("{apps: [{script: 'a.js',\n // x\n max_restarts: -1}]}", ERR_INVALID,
                 "apps.json:3: app \"a\": key \"max_restarts\": expected a whole number from 0 to "
                 "1000000, found -1");
}

static void names_what_was_expected_and_found(void **state)
{
    refuse("\"instances\":\"many\"",
           "key \"instances\": expected a number or \"max\", found \"many\"");
    refuse("\"instances\":513", "key \"instances\": expected at most 512 instances, found 513");
    refuse("\"instances\":1.5", "key \"instances\": expected a number or \"max\", found 1.5");
    refuse("\"autorestart\":\"false\"", "key \"autorestart\": expected true or false, found the "
                                        "string \"false\"; write it without quotes");
    refuse("\"autorestart\":1", "key \"autorestart\": expected true or false, found 1");
    refuse("\"max_restarts\":-1",
           "key \"max_restarts\": expected a whole number from 0 to 1000000, found -1");
    refuse("\"max_restarts\":\"3ms\"",
           "key \"max_restarts\": expected a whole number, found \"3ms\"");
    refuse("\"log_max_size\":\"much\"", "key \"log_max_size\": expected bytes or a size such as "
                                        "\"512K\", \"32M\" or \"1G\", found \"much\"");
    refuse("\"log_max_size\":100",
           "key \"log_max_size\": expected 0 or a size of at least 4096 bytes, found 100");
    refuse("\"log_max_size\":\"-1M\"", "key \"log_max_size\": expected bytes or a size such as "
                                       "\"512K\", \"32M\" or \"1G\", found \"-1M\"");
    refuse("\"log_keep\":0", "key \"log_keep\": expected a whole number from 1 to 100000, found 0");
    refuse("\"log_rotate_every\":\"60d\"",
           "key \"log_rotate_every\": expected a time from 0 to 2073600000 ms, found \"60d\"");
    refuse("\"kill_timeout\":\"soon\"", "key \"kill_timeout\": expected milliseconds or a time "
                                        "such as \"500ms\", \"5s\" or \"2m\", found \"soon\"");
    refuse("\"killTimeout\":-5",
           "key \"kill_timeout\": expected a time from 0 to 604800000 ms, found -5");
    refuse("\"args\":5", "key \"args\": expected a list of strings or one string, found 5");
    refuse("\"args\":[\"a\",{}]",
           "key \"args\": expected only strings in the list, found an object");
    refuse("\"args\":\"--x 'y\"", "key \"args\": a quote is not closed in \"--x 'y\"");
    refuse("\"cwd\":null", "key \"cwd\": expected a string, found null");
    refuse("\"cwd\":\"\"", "key \"cwd\": must not be empty");
    refuse("\"cwd\":\"a\\u0000b\"", "key \"cwd\": contains a NUL character");
    refuse("\"profiling\":\"false\"",
           "key \"profiling\": expected \"on-demand\", false or \"always\", found \"false\"");
    refuse("\"env\":[]", "key \"env\": expected an object of names and values, found a list");
    refuse("\"env\":{\"A\":null}",
           "key \"env.A\": null is no value; write \"\" or leave the variable out");
    refuse("\"env_x\":{\"A=B\":1}", "key \"env_x.A=B\": a variable's name must not contain '='");
    refuse("\"env\":{\"\":1}", "key \"env\": a variable has an empty name");
}

static void keeps_found_text_printable_and_short(void **state)
{
    refuse("\"instances\":\"\\u001b[31m\\u009b\\n\"",
           "key \"instances\": expected a number or \"max\", found \"?[31m??\"");
    refuse(
        "\"instances\":\"0123456789012345678901234567890123456789012345678901234567890123456789\"",
        "key \"instances\": expected a number or \"max\", found "
        "\"012345678901234567890123456789012345678901234567890123456789…\"");
}

static void tells_the_line_inside_a_list_and_an_environment(void **state)
{
    expect_error(APP("\"args\":[\"a\",\n[]]"), ERR_INVALID,
                 "apps.json:3: app \"api\": key \"args\": expected only strings in the list, found "
                 "a list");
    expect_error(
        APP("\"env\":{\n\"A\":1,\n\"B\":null}"), ERR_INVALID,
        "apps.json:4: app \"api\": key \"env.B\": null is no value; write \"\" or leave the "
        "variable out");
}

static void refuses_bad_names(void **state)
{
    expect_error("[{\"script\":\"a\",\"name\":\"a/b\"}]", ERR_INVALID,
                 "apps.json:1: app \"a/b\": key \"name\": a name must not contain '/', because log "
                 "files are named after it");
    expect_error(
        "[{\"script\":\"a\",\"name\":\"all\"}]", ERR_INVALID,
        "apps.json:1: app \"all\": key \"name\": \"all\" is reserved: commands take it for "
        "all apps");
    expect_error("[{\"script\":\"a\",\"name\":\"a\\tb\"}]", ERR_INVALID,
                 "apps.json:1: app \"a?b\": key \"name\": a name must not contain the control "
                 "character U+0009");
    expect_error("[{\"script\":\"a\",\"name\":\"\"}]", ERR_INVALID,
                 "apps.json:1: key \"name\": a name must not be empty");
}

static void refuses_a_key_given_twice(void **state)
{
    expect_error(APP("\"cwd\":\"/a\",\n\"args\":[],\n\"cwd\":\"/b\""), ERR_INVALID,
                 "apps.json:4: key \"cwd\": given twice in the same object, first on line 2");
    expect_error(APP("\"env\":{\"A\":1,\"\\u0041\":2}"), ERR_INVALID,
                 "apps.json:2: key \"A\": given twice in the same object, first on line 2");
}

static void refuses_two_apps_with_one_name(void **state)
{
    expect_error("[{\"name\":\"a\",\"script\":\"x\"},\n{\"name\":\"b\",\"script\":\"x\"},\n"
                 "{\"name\":\"a\",\"script\":\"y\"}]",
                 ERR_INVALID,
                 "apps.json:3: app \"a\": key \"name\": the app on line 1 has this name too");
    expect_error(
        "[{\"script\":\"x/server.js\"},\n{\"script\":\"y/server.js\"}]", ERR_INVALID,
        "apps.json:2: app \"server\": key \"name\": the app on line 1 has this name too (it "
        "comes from the script; give another)");
}

static void knows_aliases_and_camel_case(void **state)
{
    AUTOECO struct ecosystem *eco =
        load("{\"command\":\"x\",\"execInterpreter\":\"none\",\"killTimeout\":9,\"pmx\":false}");
    const struct app_spec *s = &eco->apps[0];
    assert_string_equal(s->script, "x");
    assert_string_equal(s->interpreter, "none");
    assert_int_equal(s->kill_timeout_ms, 9);
    assert_int_equal(s->profiling, PROFILING_OFF);
    assert_int_equal(eco->warnings.count, 0);
}

static void prefers_the_key_to_its_alias_in_any_order(void **state)
{
    warns("\"exec\":\"b.js\"", "key \"exec\" is ignored, \"script\" says the same");
    AUTOECO struct ecosystem *eco = load("{\"cmd\":\"b.js\",\"script\":\"a.js\"}");
    assert_string_equal(eco->apps[0].script, "a.js");
    assert_int_equal(eco->warnings.count, 1);
}

static void warns_of_unknown_keys_with_the_nearest(void **state)
{
    warns("\"scirpt\":1", "unknown key \"scirpt\", ignored; did you mean \"script\"?");
    warns("\"qqqqqqqqq\":1", "unknown key \"qqqqqqqqq\", ignored");
    warns("\"env_\":{}", "unknown key \"env_\", ignored; did you mean \"env\"?");
    AUTOECO struct ecosystem *eco = load("{\"depoy\":1,\"apps\":{\"script\":\"a\"}}");
    assert_string_equal(eco->warnings.items[0],
                        "apps.json:1: unknown key \"depoy\" beside \"apps\", ignored; did you mean "
                        "\"deploy\"?");
}

static void warns_of_keys_that_nobody_acts_on(void **state)
{
    warns("\"watch\":[\"src\"]", "key \"watch\" is not acted on yet");
    warns("\"maxMemoryRestart\":\"1G\"", "key \"maxMemoryRestart\" is not acted on yet");
    warns("\"ready\":\"x\"", "key \"ready\" is not supported yet, ignored");
    warns("\"vizion\":true", "key \"vizion\" has no meaning here, ignored");
    warns("\"watch\":false,\"autostart\":true,\"exec_mode\":\"auto\",\"windowsHide\":true,"
          "\"cron\":0,\"kill_signal\":2",
          NULL);
}

static void warns_where_pm2_means_something_else(void **state)
{
    AUTOECO struct ecosystem *eco = load("{\"script\":\"a\",\"cron\":\"0 0 1 * 1\"}");
    assert_int_equal(eco->warnings.count, 2);
    assert_non_null(strstr(eco->warnings.items[1], "restricts both days"));
}

/* app: the settings of restarts that come of these members. */
static void restarts_as(const char *members, enum restart_policy restart, const char *warning)
{
    AUTOFREE char *text = xasprintf("{\"name\":\"api\",\"script\":\"a\",%s}", members);
    AUTOECO struct ecosystem *eco = load(text);
    assert_int_equal(eco->apps[0].restart, restart);
    assert_int_equal(eco->apps[0].autorestart, restart != RESTART_NEVER);
    for (size_t i = 0; warning && i < eco->warnings.count; i++)
        if (strstr(eco->warnings.items[i], warning))
            return;
    assert_null(warning);
}

static void keeps_the_settings_of_restarts_of_one_mind(void **state)
{
    restarts_as("\"cwd\":\"/\"", RESTART_ALWAYS, NULL);
    restarts_as("\"autorestart\":false", RESTART_NEVER, NULL);
    restarts_as("\"restart\":\"never\"", RESTART_NEVER, NULL);
    restarts_as("\"restart\":\"on-failure\"", RESTART_ON_FAILURE, "not acted on yet");
    restarts_as("\"restart\":\"on-failure\",\"autorestart\":true", RESTART_ON_FAILURE, NULL);
    restarts_as("\"restart\":\"on-failure\",\"autorestart\":false", RESTART_ON_FAILURE,
                "key \"autorestart\" is ignored, \"restart\" says more");
    restarts_as("\"autorestart\":false,\"restart\":\"always\"", RESTART_ALWAYS, "is ignored");
    restarts_as("\"type\":\"job\"", RESTART_NEVER, NULL);
    restarts_as("\"type\":\"job\",\"restart\":\"on-failure\"", RESTART_ON_FAILURE, NULL);
    restarts_as("\"type\":\"job\",\"autorestart\":true", RESTART_ALWAYS, NULL);
}

static void a_job_is_not_interrupted_by_its_times(void **state)
{
    AUTOECO struct ecosystem *eco =
        load("[{\"script\":\"a\",\"type\":\"job\"},{\"script\":\"b\"},"
             "{\"script\":\"c\",\"type\":\"job\",\"cron_overlap\":\"restart\"}]");
    assert_int_equal(eco->apps[0].cron_overlap, CRON_SKIP);
    assert_int_equal(eco->apps[1].cron_overlap, CRON_RESTART);
    assert_int_equal(eco->apps[2].cron_overlap, CRON_RESTART);
}

static void an_alias_counts_when_the_key_says_nothing(void **state)
{
    AUTOECO struct ecosystem *eco =
        load("{\"script\":\"\",\"exec\":\"a.js\",\"log_file\":false,\"log\":\"x.log\"}");
    assert_string_equal(eco->apps[0].script, "a.js");
    assert_string_equal(eco->apps[0].log_file, "x.log");
}

static void appends_the_name_of_the_environment(void **state)
{
    AUTOECO struct ecosystem *eco =
        load("[{\"name\":\"a\",\"script\":\"x\",\"append_env_to_name\":true,\"env_production\":{}},"
             "{\"script\":\"y.js\",\"append_env_to_name\":true,\"env_production\":{}},"
             "{\"name\":\"c\",\"script\":\"x\",\"env_production\":{}}]");
    ecosystem_select_env(eco, "production");
    assert_string_equal(eco->apps[0].name, "a-production");
    assert_string_equal(eco->apps[1].name, "y-production");
    assert_string_equal(eco->apps[2].name, "c");
}

static void refuses_apps_that_wait_for_each_other(void **state)
{
    AUTOSTRLIST struct strlist env = {0};
    struct config_error error;
    char space[CONFIG_ERROR_TEXT];
    strlist_add(&env, "PATH=/bin:/usr/bin");
    AUTOECO struct ecosystem *bad =
        load("[{\"name\":\"a\",\"script\":\"true\",\"depends_on\":[\"b\",\"elsewhere\"]},\n"
             "{\"name\":\"b\",\"script\":\"true\",\"depends_on\":\"c\"},\n"
             "{\"name\":\"c\",\"script\":\"true\",\"depends_on\":\"a\"}]");
    assert_int_equal(ecosystem_resolve(bad, "/tmp", &env, &error), ERR_INVALID);
    assert_string_equal(config_error_format(&error, space),
                        "apps.json:1: app \"a\": key \"depends_on\": apps wait for each other: a → "
                        "b → c → a");
    AUTOECO struct ecosystem *itself =
        load("{\"name\":\"a\",\"script\":\"true\",\"depends_on\":[\"a\"]}");
    assert_int_equal(ecosystem_resolve(itself, "/tmp", &env, &error), ERR_INVALID);
    AUTOECO struct ecosystem *good =
        load("[{\"name\":\"a\",\"script\":\"true\",\"depends_on\":[\"b\",\"c\"]},\n"
             "{\"name\":\"b\",\"script\":\"true\",\"depends_on\":\"c\"},\n"
             "{\"name\":\"c\",\"script\":\"true\"}]");
    assert_int_equal(ecosystem_resolve(good, "/tmp", &env, &error), 0);
}

/* What proctor-load says of a file. */
static void answers(const char *path, const char *answer, int code, const char *message)
{
    struct ecosystem *eco = NULL;
    struct config_error error;
    char space[CONFIG_ERROR_TEXT];
    int r = ecosystem_load_answer(path, answer, strlen(answer), &eco, NULL, &error);
    assert_int_equal(r, code);
    if (r < 0)
        assert_string_equal(config_error_format(&error, space), message);
    ecosystem_free(eco);
}

static void reads_what_the_loader_says(void **state)
{
    answers("a.yml", "{\"value\":\n{\"apps\":\n[{\"script\":\"a\"}]}}\n", 0, NULL);
    answers("a.yml", "{\"value\":\n{\"apps\":\n[{\"name\":\"a\"}]}}\n", ERR_INVALID,
            "a.yml:3: app \"a\": key \"script\": missing; every app needs one");
    answers("a.config.js", "{\"value\":[{\"name\":\"a\",\"scirpt\":1}]}\n", ERR_INVALID,
            "a.config.js: app \"a\": key \"script\": missing; every app needs one; did you mean "
            "\"script\" for \"scirpt\"?");
    answers("a.config.js",
            "{\"value\":[{\"name\":\"a\",\"script\":\"x\"},{\"name\":\"a\",\"script\":\"x\"}]}\n",
            ERR_INVALID, "a.config.js: app \"a\": key \"name\": another app has this name too");
    answers("a.config.js", "{\"error\":{\"text\":\"Error: no\",\"line\":3,\"column\":7}}\n",
            ERR_SYNTAX, "a.config.js:3:7: Error: no");
    answers("a.config.js", "{\"error\":{\"text\":\"no end\"}}\n", ERR_SYNTAX,
            "a.config.js: no end");
    answers("a.config.js", "{\"error\":5}\n", ERR_SYNTAX, "a.config.js: cannot be read");
    answers("a.config.js", "garbage\n", ERR_SYNTAX, "a.config.js: what it answered cannot be read");
    answers("a.yml", "{\"value\":\n{\"a\":1,\n\"a\":2}}", ERR_INVALID,
            "a.yml:3: key \"a\": given twice in the same object, first on line 2");
    answers("a.config.js", "[]", ERR_SYNTAX, "a.config.js: nothing was read from it");
}

static void tells_that_interpreter_arguments_are_without_effect(void **state)
{
    AUTOECO struct ecosystem *eco =
        load("{\"script\":\"a\",\"interpreter\":\"none\",\"interpreterArgs\":\"-x\"}");
    assert_string_equal(eco->warnings.items[0],
                        "apps.json:1: app \"a\": key \"node_args\" is without effect, because the "
                        "interpreter is \"none\"");
}

static void limits_the_warnings_and_counts_the_rest(void **state)
{
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    buf_addstr(&text, "{\"script\":\"a\"");
    for (int i = 0; i < 250; i++)
        buf_addf(&text, ",\n\"zzzzzzzzzz%d\":1", i);
    buf_addstr(&text, "}");
    AUTOECO struct ecosystem *eco = load(buf_str(&text));
    assert_int_equal(eco->warnings.count, ECOSYSTEM_WARNINGS + 1);
    assert_string_equal(eco->warnings.items[ECOSYSTEM_WARNINGS], "apps.json: 150 more warnings");
}

static void makes_text_of_every_environment_value(void **state)
{
    AUTOECO struct ecosystem *eco = load(APP("\"env\":{\"L\":[1, \"a b\", {\"q\": \"\\\"\"} "
                                             "],\"N\":1e3,\"F\":false,\"U\":\"\\u00e4\"}"));
    const struct strlist *env = &eco->apps[0].env;
    assert_string_equal(env_get(env, "L"), "[1,\"a b\",{\"q\":\"\\\"\"}]");
    assert_string_equal(env_get(env, "N"), "1e3");
    assert_string_equal(env_get(env, "F"), "false");
    assert_string_equal(env_get(env, "U"), "ä");
}

static void merges_the_chosen_environment(void **state)
{
    AUTOECO struct ecosystem *eco =
        load("[{\"name\":\"a\",\"script\":\"a\",\"env\":{\"A\":1,\"B\":1},\"env_production\":{"
             "\"B\":2,\"C\":3}},\n"
             "{\"name\":\"b\",\"script\":\"b\",\"env\":{\"A\":1},\"env_staging\":{}}]");
    ecosystem_select_env(eco, "production");
    const struct strlist *env = &eco->apps[0].env;
    assert_int_equal(env->count, 3);
    assert_string_equal(env_get(env, "A"), "1");
    assert_string_equal(env_get(env, "B"), "2");
    assert_string_equal(env_get(env, "C"), "3");
    assert_int_equal(eco->apps[0].env_named_count, 0);
    assert_int_equal(eco->apps[1].env.count, 1);
    assert_int_equal(eco->warnings.count, 1);
    assert_string_equal(
        eco->warnings.items[0],
        "apps.json:2: app \"b\": there is no \"env_production\", \"env\" is used alone");
}

static void names_the_nearest_environment(void **state)
{
    AUTOECO struct ecosystem *eco = load(APP("\"env_production\":{}"));
    ecosystem_select_env(eco, "prod");
    assert_string_equal(
        eco->warnings.items[0],
        "apps.json:1: app \"api\": there is no \"env_prod\", \"env\" is used alone; "
        "did you mean \"production\"?");
}

static void reports_files_that_cannot_be_read(void **state)
{
    struct ecosystem *eco = NULL;
    struct config_error error;
    char space[CONFIG_ERROR_TEXT];
    assert_int_equal(ecosystem_load_file("/nonexistent/a.json", &eco, NULL, &error), -2);
    assert_string_equal(config_error_format(&error, space),
                        "/nonexistent/a.json: cannot be read: No such file or directory");
    assert_int_equal(ecosystem_load_file("/dev/zero", &eco, NULL, &error), ERR_NO_FILE);
    assert_string_equal(config_error_format(&error, space),
                        "/dev/zero: cannot be read: not a regular file");
}

static void loads_a_file(void **state)
{
    char path[] = "/tmp/ecosystem-XXXXXX";
    static const char text[] = "[{\"script\":\"a\"}]";
    AUTOCLOSE int fd = mkstemp(path);
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    struct config_error error;
    AUTOECO struct ecosystem *eco = NULL;
    int r = ecosystem_load_file(path, &eco, NULL, &error);
    (void)unlink(path);
    assert_int_equal(r, 0);
    assert_int_equal(eco->count, 1);
    assert_string_equal(eco->file, path);
}

static void knows_file_names(void **state)
{
    static const struct {
        const char *name;
        enum ecosystem_file kind;
    } cases[] = {
        {"a.json", FILE_JSON},         {"a.json5", FILE_JSON},        {"a.jsonc", FILE_JSON},
        {"x/a.yml", FILE_YAML},        {"a.yaml", FILE_YAML},         {"a.config.js", FILE_SCRIPT},
        {"a.config.cjs", FILE_SCRIPT}, {"a.config.mjs", FILE_SCRIPT}, {"a.config.ts", FILE_SCRIPT},
        {"server.js", FILE_NONE},      {"config.js", FILE_NONE},      {"a.ts", FILE_NONE},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
        assert_int_equal(ecosystem_file_kind(cases[i].name), cases[i].kind);
        assert_int_equal(ecosystem_is_file_name(cases[i].name), cases[i].kind != FILE_NONE);
    }
}

static void limits_the_number_of_apps(void **state)
{
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    buf_addstr(&text, "[");
    for (int i = 0; i <= 1000; i++)
        buf_addf(&text, "%s{\"name\":\"n%d\",\"script\":\"a\"}", i ? "," : "", i);
    buf_addstr(&text, "]");
    expect_error(buf_str(&text), ERR_INVALID, "apps.json:1: more than 1000 apps in one file");
}

static void resolves_all_apps_and_compares_their_names(void **state)
{
    AUTOECO struct ecosystem *eco = load("[{\"script\":\"true\"},\n{\"script\":\"true --x\"}]");
    AUTOSTRLIST struct strlist env = {0};
    strlist_add(&env, "PATH=/bin:/usr/bin");
    struct config_error error;
    char space[CONFIG_ERROR_TEXT];
    assert_int_equal(ecosystem_resolve(eco, "/tmp", &env, &error), ERR_INVALID);
    assert_string_equal(
        config_error_format(&error, space),
        "apps.json:2: app \"true\": key \"name\": the app on line 1 has this name too");
    AUTOECO struct ecosystem *bad = load("[{\"script\":\"true\"},\n{\"script\":\"./missing.js\"}]");
    assert_int_equal(ecosystem_resolve(bad, "/tmp", &env, &error), ERR_INVALID);
    assert_string_equal(
        config_error_format(&error, space),
        "apps.json:2: app \"missing\": key \"script\": there is no file /tmp/missing.js");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_every_field),
        cmocka_unit_test(accepts_every_shape),
        cmocka_unit_test(refuses_other_shapes),
        cmocka_unit_test(names_line_and_column_of_syntax_errors),
        cmocka_unit_test(takes_what_people_write_for_json),
        cmocka_unit_test(names_what_was_expected_and_found),
        cmocka_unit_test(keeps_found_text_printable_and_short),
        cmocka_unit_test(tells_the_line_inside_a_list_and_an_environment),
        cmocka_unit_test(refuses_bad_names),
        cmocka_unit_test(refuses_a_key_given_twice),
        cmocka_unit_test(refuses_two_apps_with_one_name),
        cmocka_unit_test(knows_aliases_and_camel_case),
        cmocka_unit_test(prefers_the_key_to_its_alias_in_any_order),
        cmocka_unit_test(warns_of_unknown_keys_with_the_nearest),
        cmocka_unit_test(finds_the_slip_behind_a_missing_key),
        cmocka_unit_test(hands_out_the_warnings_of_a_file_that_cannot_be_used),
        cmocka_unit_test(warns_of_keys_that_nobody_acts_on),
        cmocka_unit_test(warns_where_pm2_means_something_else),
        cmocka_unit_test(keeps_the_settings_of_restarts_of_one_mind),
        cmocka_unit_test(a_job_is_not_interrupted_by_its_times),
        cmocka_unit_test(an_alias_counts_when_the_key_says_nothing),
        cmocka_unit_test(appends_the_name_of_the_environment),
        cmocka_unit_test(refuses_apps_that_wait_for_each_other),
        cmocka_unit_test(reads_what_the_loader_says),
        cmocka_unit_test(tells_that_interpreter_arguments_are_without_effect),
        cmocka_unit_test(limits_the_warnings_and_counts_the_rest),
        cmocka_unit_test(makes_text_of_every_environment_value),
        cmocka_unit_test(merges_the_chosen_environment),
        cmocka_unit_test(names_the_nearest_environment),
        cmocka_unit_test(reports_files_that_cannot_be_read),
        cmocka_unit_test(loads_a_file),
        cmocka_unit_test(knows_file_names),
        cmocka_unit_test(limits_the_number_of_apps),
        cmocka_unit_test(resolves_all_apps_and_compares_their_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
