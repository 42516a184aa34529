#include "supervisor/state_file.h"

#include "tests/unit/support.h"

#include <sys/stat.h>

#include "lib/base/err.h"
#include "lib/base/loop.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/runtime.h"
#include "supervisor/supervisor.h"

static struct supervisor sup;
static char *path;

static int start(void)
{
    sup = (struct supervisor){0};
    list_init(&sup.apps);
    list_init(&sup.captures.all);
    if (uv_loop_init(&sup.loop) < 0)
        return -1;
    sup.runtimes = runtimes_new(&sup.loop);
    state_file_init(&sup.state_file, &sup, path);
    return 0;
}

static int stop(void)
{
    struct app *app;
    struct instance *in;
    LIST_EACH(app, &sup.apps)
    {
        LIST_EACH(in, &app->instances)
        instance_free(in);
        app_free(app);
    }
    runtimes_free(sup.runtimes);
    state_file_clear(&sup.state_file);
    return loop_end(&sup.loop);
}

static int set_up(void **state)
{
    if (make_folder(state) < 0)
        return -1;
    path = in_folder("state.json");
    return start();
}

static int tear_down(void **state)
{
    int r = stop();
    free(path);
    return r < 0 ? r : remove_folder(state);
}

/* A new supervisor that knows only the file. */
static void start_again(void)
{
    assert_int_equal(stop(), 0);
    assert_int_equal(start(), 0);
}

static struct app *add_app(const char *name)
{
    struct app_spec spec;
    struct strlist env = {0};
    app_spec_init(&spec);
    spec.name = xstrdup(name);
    spec.script = xstrdup("/srv/app/server.js");
    spec.cwd = xstrdup("/srv/app");
    spec.interpreter = xstrdup("/usr/bin/node");
    strlist_add(&spec.args, "--port");
    env_set(&spec.env, "COLOR", "blue = \"sky\"");
    env_set(&env, "PATH", "/bin");
    return app_new(&sup, &spec, &env);
}

static struct instance *add_instance(struct app *app, unsigned number, int pm_id, bool wanted)
{
    struct instance *in = instance_new(app, number, pm_id);
    in->wanted = wanted;
    in->restarts = number + 10;
    in->created_wall_ms = 1700000000000 + (int64_t)number;
    return in;
}

static void write_now(void)
{
    state_file_changed(&sup.state_file);
    assert_true(state_file_busy(&sup.state_file));
    (void)uv_run(&sup.loop, UV_RUN_DEFAULT);
    assert_false(state_file_busy(&sup.state_file));
}

static void the_desired_state_comes_back(void **state)
{
    AUTOSPEC struct app_spec before = {0};
    struct app *app = add_app("web");
    struct stat st;
    (void)add_instance(app, 0, 4, true);
    (void)add_instance(app, 2, 9, false);
    (void)add_instance(add_app("api"), 0, 5, true);
    app_spec_copy(&before, &app->spec);
    write_now();
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);

    start_again();
    assert_int_equal(state_file_load(&sup.state_file), 0);
    assert_int_equal(list_count(&sup.apps), 2);
    app = supervisor_app(&sup, "web");
    assert_true(app_spec_equal(&app->spec, &before));
    assert_string_equal(env_get(&app->shell_env, "PATH"), "/bin");
    assert_int_equal(list_count(&app->instances), 2);
    struct instance *in = app_instance(app, 0), *other = app_instance(app, 2);
    assert_true(in->wanted && !other->wanted);
    assert_int_equal(in->pm_id, 4);
    assert_int_equal(other->pm_id, 9);
    assert_int_equal(other->restarts, 12);
    assert_true(in->created_wall_ms == 1700000000000);
    /* Nothing is started, and no id is given twice. */
    assert_int_equal(in->state, INSTANCE_STOPPED);
    assert_int_equal(sup.next_pm_id, 10);
}

static void without_a_file_there_are_no_apps(void **state)
{
    assert_int_equal(state_file_load(&sup.state_file), 0);
    assert_true(list_empty(&sup.apps));
    write_now();
    start_again();
    assert_int_equal(state_file_load(&sup.state_file), 0);
    assert_true(list_empty(&sup.apps));
}

static void what_is_going_away_is_not_written(void **state)
{
    struct app *app = add_app("web");
    (void)add_instance(app, 0, 0, true);
    add_instance(app, 1, 1, true)->delete_when_stopped = true;
    add_instance(add_app("old"), 0, 2, true)->delete_when_stopped = true;
    (void)add_app("empty");
    write_now();
    start_again();
    assert_int_equal(state_file_load(&sup.state_file), 0);
    assert_int_equal(list_count(&sup.apps), 1);
    assert_int_equal(list_count(&supervisor_app(&sup, "web")->instances), 1);
}

static void a_change_during_the_writing_is_written_too(void **state)
{
    struct instance *in = add_instance(add_app("web"), 0, 0, false);
    state_file_changed(&sup.state_file);
    in->wanted = true;
    state_file_changed(&sup.state_file);
    (void)uv_run(&sup.loop, UV_RUN_DEFAULT);
    assert_false(state_file_busy(&sup.state_file));
    start_again();
    assert_int_equal(state_file_load(&sup.state_file), 0);
    assert_true(app_instance(supervisor_app(&sup, "web"), 0)->wanted);
}

static void the_flush_writes_at_once(void **state)
{
    (void)add_instance(add_app("web"), 0, 0, true);
    state_file_flush(&sup.state_file);
    start_again();
    assert_int_equal(state_file_load(&sup.state_file), 0);
    assert_non_null(supervisor_app(&sup, "web"));
}

static void a_file_that_cannot_be_used_is_set_aside(void **state)
{
    static const char *const texts[] = {"",
                                        "{",
                                        "[]",
                                        "{\"apps\":[]}",
                                        "{\"version\":2,\"apps\":[]}",
                                        "{\"version\":\"1\",\"apps\":[]}"};
    AUTOFREE char *aside = in_folder("state.json.broken");
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        put_file(path, texts[i]);
        assert_int_equal(state_file_load(&sup.state_file), ERR_SYNTAX);
        assert_true(list_empty(&sup.apps));
        assert_file(aside, texts[i]);
        assert_int_equal(access(path, F_OK), -1);
    }
}

static void one_app_that_cannot_be_read_does_not_keep_the_others_down(void **state)
{
    put_file(
        path,
        "{\"version\":1,\"apps\":[7,{},{\"spec\":{\"name\":\"a\"}},"
        "{\"spec\":{\"name\":\"web\",\"script\":\"/a.js\",\"cwd\":\"/"
        "\",\"interpreter\":\"none\"},\"instances\":["
        "{\"instance\":0,\"pm_id\":3},{\"instance\":0,\"pm_id\":4},{\"instance\":-1},{\"instance\":"
        "99999},{},7,"
        "{\"instance\":1,\"pm_id\":-1},{\"instance\":2,\"pm_id\":2147483648},{\"instance\":3,\"pm_"
        "id\":2147483647},"
        "{\"instance\":4}]},"
        "{\"spec\":{\"name\":\"web\",\"script\":\"/b.js\",\"cwd\":\"/\",\"interpreter\":\"none\"}},"
        "{\"spec\":{\"name\":\"rel\",\"script\":\"b.js\",\"cwd\":\"/"
        "\",\"interpreter\":\"none\"}}]}");
    assert_int_equal(state_file_load(&sup.state_file), 0);
    assert_int_equal(list_count(&sup.apps), 1);
    struct app *app = supervisor_app(&sup, "web");
    assert_string_equal(app->spec.script, "/a.js");
    assert_int_equal(list_count(&app->instances), 2);
    assert_int_equal(app_instance(app, 0)->pm_id, 3);
    assert_int_equal(app_instance(app, 4)->pm_id, 4);
    assert_int_equal(sup.next_pm_id, 5);
}

static void a_file_that_cannot_be_written_leaves_the_old_one(void **state)
{
    AUTOFREE char *temp = in_folder("state.json.tmp");
    put_file(path, "old");
    assert_int_equal(mkdir(temp, 0700), 0);
    (void)add_instance(add_app("web"), 0, 0, true);
    write_now();
    assert_int_equal(sup.state_file.result, -EISDIR);
    assert_file(path, "old");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(the_desired_state_comes_back),
        IN_FOLDER(without_a_file_there_are_no_apps),
        IN_FOLDER(what_is_going_away_is_not_written),
        IN_FOLDER(a_change_during_the_writing_is_written_too),
        IN_FOLDER(the_flush_writes_at_once),
        IN_FOLDER(a_file_that_cannot_be_used_is_set_aside),
        IN_FOLDER(one_app_that_cannot_be_read_does_not_keep_the_others_down),
        IN_FOLDER(a_file_that_cannot_be_written_leaves_the_old_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
