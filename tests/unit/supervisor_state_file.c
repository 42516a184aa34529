#include "supervisor/state_file.h"

#include "tests/unit/bare_supervisor.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include "lib/base/err.h"
#include "lib/base/json.h"

static struct supervisor sup;
static char *path;

static int start(void)
{
    int r = bare_open(&sup);
    state_file_init(&sup.state_file, &sup, path);
    return r;
}

static int stop(void)
{
    int r = bare_close(&sup);
    state_file_clear(&sup.state_file);
    return r;
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
    spec.exec_mode = EXEC_FORK; /* as resolved */
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
    static const char *const texts[] = {
        "", "{", "[]", "{\"apps\":[]}", "{\"version\":1}", "{\"version\":\"1\",\"apps\":[]}"};
    AUTOFREE char *aside = in_folder("state.json.broken");
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        put_file(path, texts[i]);
        assert_int_equal(state_file_load(&sup.state_file), ERR_SYNTAX);
        assert_true(list_empty(&sup.apps));
        assert_file(aside, texts[i]);
        assert_int_equal(access(path, F_OK), -1);
        assert_non_null(strstr(sup.state_file.fallback, "torn or damaged"));
        assert_non_null(strstr(sup.state_file.fallback, "no apps were started"));
    }
}

/* ---- the one before -------------------------------------------------------------------------- */

/* The file has two apps, the one before it has one. */
static void write_two(void)
{
    (void)add_instance(add_app("web"), 0, 0, true);
    write_now();
    (void)add_instance(add_app("api"), 0, 1, true);
    write_now();
}

static void assert_the_one_before(const char *reason)
{
    assert_int_equal(state_file_load(&sup.state_file), 0);
    assert_int_equal(list_count(&sup.apps), 1);
    assert_non_null(supervisor_app(&sup, "web"));
    if (!strstr(sup.state_file.fallback, reason))
        fail_msg("%s", sup.state_file.fallback);
}

static void a_file_torn_at_any_byte_falls_back_to_the_one_before(void **state)
{
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    write_two();
    assert_int_equal(path_read(path, &text), 0);
    for (size_t len = text.len; len-- > 0;) {
        AUTOFREE char *torn = xstrndup(text.data, len);
        start_again();
        put_file(path, torn);
        assert_the_one_before("torn or damaged");
    }
}

static void damage_in_the_middle_is_seen(void **state)
{
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    write_two();
    assert_int_equal(path_read(path, &text), 0);
    /* A block that was never written. */
    memset(text.data + text.len / 3, 0, text.len / 3);
    FILE *f = fopen(path, "we");
    assert_int_equal(fwrite(text.data, 1, text.len, f), text.len);
    assert_int_equal(fclose(f), 0);
    start_again();
    assert_the_one_before("torn or damaged");
}

static void a_newer_file_falls_back_and_a_newer_minor_does_not(void **state)
{
    write_two();
    start_again();
    put_file(path, "{\"version\":2,\"apps\":{}}");
    assert_the_one_before("newer version");
    start_again();
    put_file(
        path,
        "{\"version\":1,\"minor_version\":99,\"more\":[1],\"apps\":[{\"spec\":{\"name\":\"api\","
        "\"script\":\"/a.js\",\"cwd\":\"/\",\"interpreter\":\"none\"},\"more\":{},\"instances\":["
        "{\"instance\":0,\"pm_id\":0,\"more\":true}]}]}");
    assert_int_equal(state_file_load(&sup.state_file), 0);
    assert_null(sup.state_file.fallback);
    assert_int_equal(list_count(&sup.apps), 1);
    assert_non_null(supervisor_app(&sup, "api"));
}

static void a_missing_file_falls_back_too(void **state)
{
    write_two();
    start_again();
    assert_int_equal(unlink(path), 0);
    assert_the_one_before("missing");
}

static void the_one_before_is_private_and_never_the_broken_one(void **state)
{
    AUTOFREE char *previous = in_folder("state.json.previous");
    struct stat st;
    write_two();
    start_again();
    put_file(path, "{");
    assert_the_one_before("torn or damaged");
    write_now();
    start_again();
    put_file(path, "{");
    assert_the_one_before("torn or damaged");
    assert_int_equal(stat(previous, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void the_next_answers_say_so_until_something_was_changed(void **state)
{
    AUTOJSON json_t *answer = json_object(), *later = json_object();
    write_two();
    start_again();
    put_file(path, "");
    assert_the_one_before("torn or damaged");
    state_file_warn(&sup.state_file, answer);
    assert_int_equal(json_array_size(json_object_get(answer, "warnings")), 1);
    state_file_warned(&sup.state_file);
    state_file_warn(&sup.state_file, later);
    assert_null(json_object_get(later, "warnings"));
}

/* ---- the record ------------------------------------------------------------------------------ */

/* A keeper that never says anything; what is put can be got again. */
static int with_keeper(void)
{
    int pair[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    sup.keep.sock = pair[0];
    return pair[1];
}

static void the_record_goes_before_the_file_and_knows_more(void **state)
{
    struct keep_link keep;
    AUTOCLOSE int keeper = with_keeper();
    struct app *app = add_app("web");
    (void)add_instance(app, 0, 4, true);
    struct instance *going = add_instance(app, 1, 5, true), *gone = add_instance(app, 2, 6, true);
    going->state = INSTANCE_ONLINE;
    going->delete_when_stopped = gone->delete_when_stopped = true;
    sup.next_pm_id = 40;
    sup.ending = sup.forget_apps = true;
    state_file_store(&sup.state_file);
    going->state = INSTANCE_STOPPED;
    keep = sup.keep;
    put_file(path, "{\"version\":1,\"apps\":[]}");

    start_again();
    sup.keep = keep;
    assert_int_equal(state_file_load(&sup.state_file), 0);
    app = supervisor_app(&sup, "web");
    assert_int_equal(list_count(&app->instances), 2);
    assert_non_null(app_instance(app, 1));
    assert_null(app_instance(app, 2));
    assert_int_equal(sup.next_pm_id, 40);
    assert_true(sup.state_file.ending && sup.forget_apps && !sup.ending);
    sup.forget_apps = false;
    (void)keep_put(&sup.keep, "{", 1, "state");
    keep = sup.keep;

    /* A damaged record: the file. */
    start_again();
    sup.keep = keep;
    assert_int_equal(state_file_load(&sup.state_file), 0);
    assert_true(list_empty(&sup.apps));
    assert_null(sup.state_file.fallback);
    keep_link_clear(&sup.keep);
}

static void an_upgrade_does_not_take_what_it_cannot_read(void **state)
{
    struct keep_link keep;
    AUTOFREE char *aside = in_folder("state.json.broken");
    AUTOCLOSE int keeper = with_keeper();
    write_two();
    (void)keep_put(&sup.keep, "{\"version\":2}", 13, "state");
    keep = sup.keep;
    start_again();
    sup.keep = keep;
    sup.keep.flags = KEEP_AGAIN | KEEP_UPGRADED;
    assert_int_equal(state_file_load(&sup.state_file), ERR_UNSUPPORTED);
    assert_true(list_empty(&sup.apps));
    /* Started because the one before has died, there is nobody else. */
    sup.keep.flags = KEEP_AGAIN;
    assert_int_equal(state_file_load(&sup.state_file), 0);
    assert_int_equal(list_count(&sup.apps), 2);
    assert_int_equal(access(aside, F_OK), -1);
    keep_link_clear(&sup.keep);
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
        IN_FOLDER(a_file_torn_at_any_byte_falls_back_to_the_one_before),
        IN_FOLDER(damage_in_the_middle_is_seen),
        IN_FOLDER(a_newer_file_falls_back_and_a_newer_minor_does_not),
        IN_FOLDER(a_missing_file_falls_back_too),
        IN_FOLDER(the_one_before_is_private_and_never_the_broken_one),
        IN_FOLDER(the_next_answers_say_so_until_something_was_changed),
        IN_FOLDER(the_record_goes_before_the_file_and_knows_more),
        IN_FOLDER(an_upgrade_does_not_take_what_it_cannot_read),
        IN_FOLDER(one_app_that_cannot_be_read_does_not_keep_the_others_down),
        IN_FOLDER(a_file_that_cannot_be_written_leaves_the_old_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
