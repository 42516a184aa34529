#include "supervisor/views.h"

#include "tests/unit/bare_supervisor.h"

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/procfs.h"
#include "supervisor/log_tail.h"

static const char secret[] = "hunter2hunter2";

static struct supervisor sup;
static struct process self; /* stands for the process of an instance: this one */
static char *policy_path;

static struct app *add_app(const char *name, unsigned instances)
{
    struct app_spec spec;
    struct strlist env = {0};
    app_spec_init(&spec);
    spec.name = xstrdup(name);
    spec.script = xstrdup("/srv/place/app.js");
    spec.interpreter = xstrdup("/usr/bin/node");
    spec.cwd = xstrdup("/srv/place");
    strlist_add(&spec.args, secret);
    strlist_addf(&spec.env, "KEY=%s", secret);
    strlist_addf(&env, "SHELL_KEY=%s", secret);
    struct app *app = app_new(&sup, &spec, &env);
    for (unsigned i = 0; i < instances; i++)
        (void)instance_new(app, i, sup.next_pm_id++);
    return app;
}

static int set_up(void **state)
{
    (void)setenv("PROCTOR_LOG", "error", 1);
    if (make_folder(state) < 0)
        return -1;
    if (bare_open(&sup) < 0)
        return -1;
    sup.home = folder;
    policy_path = in_folder("policy.json");
    policy_init(&sup.policy, policy_path);
    self = (struct process){.pid = getpid()};
    return 0;
}

static int tear_down(void **state)
{
    struct app *app;
    struct instance *in;
    LIST_EACH(app, &sup.apps)
    {
        LIST_EACH(in, &app->instances)
        {
            in->process = NULL;
            in->state = INSTANCE_STOPPED;
        }
    }
    int r = bare_close(&sup);
    policy_clear(&sup.policy);
    free(policy_path);
    return r < 0 ? r : remove_folder(state);
}

/* An instance that runs Node 20 with our flags in this process. */
static struct instance *run(struct app *app, unsigned number)
{
    struct instance *in = app_instance(app, number);
    in->process = &self;
    in->state = INSTANCE_ONLINE;
    in->runtime = (struct runtime_version){.is_node = true, .major = 20, .minor = 1};
    in->flags = FLAGS_OURS;
    in->rss_bytes = 4096000;
    in->cpu_percent = 12.5;
    in->restarts = 3;
    return in;
}

/* As if it handled SIGUSR1. */
static void make_ready(struct instance *in)
{
    in->inspector.catching_pid = getpid();
}

static json_t *row(json_t *host, size_t i)
{
    return json_array_get(json_object_get(host, "processes"), i);
}

static void assert_why(struct instance *in, const char *kind, const char *part)
{
    AUTOJSON json_t *host = view_host(&sup);
    const char *why = json_get_string(json_object_get(row(host, in->number), "kinds"), kind, NULL);
    assert_non_null(why);
    if (part[0] ? !strstr(why, part) : why[0] != '\0')
        fail_msg("%s: \"%s\", not \"%s\"", kind, why, part);
}

/* ---- what is told ---------------------------------------------------------------------------- */

static void a_console_is_told_what_runs(void **state)
{
    make_ready(run(add_app("web", 2), 0));
    AUTOJSON json_t *host = view_host(&sup);
    assert_int_equal(json_array_size(json_object_get(host, "processes")), 2);
    const json_t *process = row(host, 0);
    assert_string_equal(json_get_string(process, "app", NULL), "web");
    assert_int_equal(json_get_int(process, "instance", -1), 0);
    assert_int_equal(json_get_int(process, "pid", -1), getpid());
    assert_string_equal(json_get_string(process, "status", NULL), "online");
    assert_true(json_get_number(process, "cpu", -1) == 12.5);
    assert_int_equal(json_get_int(process, "memory", -1), 4096000);
    assert_int_equal(json_get_int(process, "restarts", -1), 3);
    assert_string_equal(json_get_string(process, "node_version", NULL), "20.1.0");
    assert_true(json_get_int(process, "uptime_ms", -1) >= 0);
    assert_null(json_object_get(process, "exit"));
    process = row(host, 1);
    assert_int_equal(json_get_int(process, "instance", -1), 1);
    assert_int_equal(json_get_int(process, "pid", -1), 0);
    assert_string_equal(json_get_string(process, "status", NULL), "stopped");
    assert_int_equal(json_get_int(process, "memory", -1), 0);
    assert_null(json_object_get(process, "node_version"));
}

static void a_console_is_told_how_it_ended_last(void **state)
{
    struct instance *in = run(add_app("web", 1), 0);
    in->last_exit = (struct exit_record){
        .set = true, .status = {.code = 3}, .at_ms = 1234, .uptime_ms = 56, .asked = true};
    AUTOJSON json_t *host = view_host(&sup);
    const json_t *end = json_object_get(row(host, 0), "exit");
    assert_int_equal(json_get_int(end, "at_ms", -1), 1234);
    assert_int_equal(json_get_int(end, "uptime_ms", -1), 56);
    assert_int_equal(json_get_int(end, "code", -1), 3);
    assert_null(json_object_get(end, "signal"));
    assert_true(json_get_bool(end, "asked", false));
    assert_false(json_get_bool(end, "core", true));
    in->last_exit.status = (struct exit_status){.by_signal = true, .code = 6, .core = true};
    AUTOJSON json_t *later = view_host(&sup);
    end = json_object_get(row(later, 0), "exit");
    assert_int_equal(json_get_int(end, "signal", -1), 6);
    assert_null(json_object_get(end, "code"));
    assert_true(json_get_bool(end, "core", false));
    in->last_exit.status = (struct exit_status){.unknown = true};
    AUTOJSON json_t *unknown = view_host(&sup);
    assert_null(json_object_get(row(unknown, 0), "exit"));
}

/* ---- logs ------------------------------------------------------------------------------------ */

static json_t *ask_log(const char *app, int instance, const char *stream, int *ret_error,
                       char *text, size_t size)
{
    AUTOJSON json_t *params = json_pack("{s:s,s:i,s:s,s:i}", "app", app, "instance", instance,
                                        "stream", stream, "lines", 2);
    return log_tail_view(&sup, params, ret_error, text, size);
}

static void refuses_log(const char *app, int instance, const char *stream, int error,
                        const char *part)
{
    char text[400];
    int found;
    assert_null(ask_log(app, instance, stream, &found, text, sizeof text));
    assert_int_equal(found, error);
    assert_non_null(strstr(text, part));
    assert_null(strchr(text, '/'));
}

static void a_console_reads_the_end_of_a_log_when_the_policy_lets_it(void **state)
{
    int error;
    char text[400];
    AUTOFREE char *logs = in_folder("logs"), *file = in_folder("logs/web-1.err");
    (void)add_app("web", 2);
    assert_int_equal(path_mkdir(logs, 0700), 0);
    put_file(file, "a\nb\nc\n");
    AUTOJSON json_t *answer = ask_log("web", 1, "err", &error, text, sizeof text);
    assert_string_equal(json_get_string(answer, "text", ""), "b\nc\n");
    assert_false(json_get_bool(answer, "cut", true));
    assert_true(json_get_int(answer, "at_ms", 0) > 0);
    AUTOJSON json_t *none = ask_log("web", 0, "out", &error, text, sizeof text);
    assert_string_equal(json_get_string(none, "text", "?"), "");
    refuses_log("web", 2, "err", ERR_NOT_FOUND, "no such instance");
    refuses_log("api", 0, "err", ERR_NOT_FOUND, "no such instance");
    refuses_log("web", 1, "idx", ERR_INVALID, "out or err");
    put_file(policy_path, "{\"logs\":false}");
    refuses_log("web", 1, "err", ERR_POLICY, "the policy of this host lets no console read logs");
    refuses_log("api", 1, "err", ERR_POLICY, "the policy");
    put_file(policy_path, "{\"logs\":\"no\"}");
    refuses_log("web", 1, "err", ERR_POLICY, "has a mistake");
}

/* A field that is added one day is looked at by somebody then. */
static void a_console_is_told_nothing_else(void **state)
{
    static const char *const told[] = {"app",          "instance", "pid",       "status",
                                       "cpu",          "memory",   "uptime_ms", "restarts",
                                       "node_version", "kinds",    "exit"};
    put_file(policy_path, "{\"kinds\":[]}");
    make_ready(run(add_app("web", 1), 0));
    AUTOJSON json_t *host = view_host(&sup);
    AUTOBUF struct buf text = BUF_INIT(100000);
    const char *key;
    json_t *value;
    assert_int_equal(json_object_size(host), 1);
    json_object_foreach(row(host, 0), key, value)
    {
        bool known = false;
        for (size_t i = 0; i < ARRAY_SIZE(told); i++)
            known |= str_eq(key, told[i]);
        if (!known)
            fail_msg("\"%s\" is told", key);
    }
    assert_int_equal(json_to_buf(host, &text), 0);
    assert_null(strstr(buf_str(&text), secret));
    assert_null(strstr(buf_str(&text), "KEY"));
    assert_null(strchr(buf_str(&text), '/'));
}

static void no_apps_are_an_empty_list(void **state)
{
    AUTOJSON json_t *host = view_host(&sup);
    assert_true(json_is_array(json_object_get(host, "processes")));
    assert_int_equal(json_array_size(json_object_get(host, "processes")), 0);
}

/* ---- why not --------------------------------------------------------------------------------- */

static void what_can_be_captured_has_no_reason(void **state)
{
    struct instance *in = run(add_app("web", 1), 0);
    make_ready(in);
    assert_why(in, "cpu", "");
    assert_why(in, "heap", "");
}

static void a_capture_under_way_is_no_reason(void **state)
{
    struct instance *in = run(add_app("web", 1), 0);
    make_ready(in);
    in->capture = (struct capture *)&self;
    assert_why(in, "cpu", "");
    in->capture = NULL;
}

static void says_why_not(void **state)
{
    struct instance *in = run(add_app("web", 1), 0);
    make_ready(in);
    in->runtime.major = 9;
    assert_why(in, "cpu", "web-0: Node 9 cannot");
    in->runtime.major = 6;
    assert_why(in, "heap", "Node below 8");
    in->runtime.major = 8;
    assert_why(in, "cpu", "FORCE_INSPECTOR=1");
    in->runtime.is_node = false;
    assert_why(in, "cpu", "not run by a Node.js binary");
    in->runtime = (struct runtime_version){.is_node = true, .major = 20};
    in->app->spec.profiling = PROFILING_OFF;
    assert_why(in, "cpu", "profiling is switched off");
    in->app->spec.profiling = PROFILING_ON_DEMAND;
    in->flags = FLAGS_NONE;
    assert_why(in, "cpu", "without the options that make profiling safe");
    in->flags = FLAGS_USERS;
    assert_why(in, "cpu", "its own options name an inspector port");
    in->user_opens = true;
    assert_why(in, "cpu", "");
    in->state = INSTANCE_STOPPING;
    assert_why(in, "cpu", "web-0 is stopping");
    in->state = INSTANCE_STOPPED;
    in->process = NULL;
    assert_why(in, "heap", "web-0 is stopped");
}

static void says_what_the_policy_says(void **state)
{
    struct instance *in = run(add_app("web", 1), 0);
    make_ready(in);
    put_file(policy_path, "{\"kinds\":[\"heap\"]}");
    assert_why(in, "cpu", "the policy of this host does not allow captures of kind cpu");
    assert_why(in, "heap", "");
    put_file(policy_path, "{\"apps\":[\"api\"]}");
    assert_why(in, "heap", "captures of web");
    put_file(policy_path, "{\"roles\":[]}");
    assert_why(in, "cpu", "allows no console");
    put_file(policy_path, "{\"roles\":[\"admin\"]}");
    assert_why(in, "cpu", "");
    put_file(policy_path, "{\"legacy\":false}");
    in->runtime.major = 10;
    assert_why(in, "cpu", "Node 8 to 10");
}

static void a_process_without_a_handler_for_the_signal_is_not_signalled(void **state)
{
    struct instance *in = run(add_app("web", 1), 0);
    assert_why(in, "cpu", "web-0: the process has no handler for SIGUSR1");
    /* As soon as it has one it is not asked again. */
    assert_true(signal(SIGUSR1, exit) == SIG_DFL);
    assert_why(in, "cpu", "");
    assert_true(signal(SIGUSR1, SIG_DFL) == exit);
    assert_why(in, "cpu", "");
    in->inspector.silent_pid = getpid();
    assert_why(in, "cpu", "did not open its inspector on SIGUSR1 before");
}

#define WITH_HOST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOST(a_console_is_told_what_runs),
        WITH_HOST(a_console_is_told_how_it_ended_last),
        WITH_HOST(a_console_reads_the_end_of_a_log_when_the_policy_lets_it),
        WITH_HOST(a_console_is_told_nothing_else),
        WITH_HOST(no_apps_are_an_empty_list),
        WITH_HOST(what_can_be_captured_has_no_reason),
        WITH_HOST(a_capture_under_way_is_no_reason),
        WITH_HOST(says_why_not),
        WITH_HOST(says_what_the_policy_says),
        WITH_HOST(a_process_without_a_handler_for_the_signal_is_not_signalled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
