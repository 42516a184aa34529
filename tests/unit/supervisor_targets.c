#include "supervisor/targets.h"

#include "tests/unit/bare_supervisor.h"

#include "lib/base/err.h"

static struct supervisor sup;

static void add_app(const char *name, unsigned instances)
{
    struct app_spec spec;
    struct strlist env = {0};
    app_spec_init(&spec);
    spec.name = xstrdup(name);
    struct app *app = app_new(&sup, &spec, &env);
    for (unsigned i = 0; i < instances; i++)
        (void)instance_new(app, i, sup.next_pm_id++);
}

static int set_up(void **state)
{
    if (bare_open(&sup) < 0)
        return -1;
    add_app("web", 3);      /* pm_id 0 to 2 */
    add_app("api", 1);      /* 3 */
    add_app("7", 1);        /* 4 */
    add_app("my-app-1", 1); /* 5 */
    add_app("my-app", 2);   /* 6, 7 */
    return 0;
}

static int tear_down(void **state)
{
    return bare_close(&sup);
}

/* Names with blanks between; what they mean is given as "name-number" words. */
static void assert_means(const char *names, const char *expected)
{
    AUTOSTRLIST struct strlist list = {0};
    AUTOTARGETS struct targets t = {0};
    AUTOBUF struct buf found = BUF_INIT(1000);
    char text[TARGETS_TEXT];
    AUTOFREE char *copy = xstrdup(names);
    char *rest = copy;
    for (char *name; (name = strsep(&rest, " "));)
        strlist_add(&list, name);
    assert_int_equal(targets_resolve(&sup, &list, &t, text), 0);
    for (size_t i = 0; i < t.count; i++)
        assert_int_equal(buf_addf(&found, "%s%s", i ? " " : "", instance_name(t.items[i])), 0);
    assert_string_equal(buf_str(&found), expected);
}

static void assert_unknown(const char *name, const char *sentence)
{
    AUTOSTRLIST struct strlist list = {0};
    AUTOTARGETS struct targets t = {0};
    char text[TARGETS_TEXT];
    strlist_add(&list, "web");
    strlist_add(&list, name);
    assert_int_equal(targets_resolve(&sup, &list, &t, text), ERR_NOT_FOUND);
    assert_string_equal(text, sentence);
}

static void a_name_means_all_its_instances(void **state)
{
    assert_means("web", "web-0 web-1 web-2");
    assert_means("api", "api-0");
}

static void one_instance_is_meant_by_number_or_pm_id(void **state)
{
    assert_means("web-1", "web-1");
    assert_means("my-app-0", "my-app-0");
    assert_means("3", "api-0");
    assert_means("2", "web-2");
}

static void set_namespace(const char *name, const char *space)
{
    struct app_spec *spec = &supervisor_app(&sup, name)->spec;
    free(spec->namespace);
    spec->namespace = xstrdup(space);
}

static void a_namespace_means_its_apps(void **state)
{
    set_namespace("web", "shop");
    set_namespace("7", "shop");
    set_namespace("my-app-1", "web");
    set_namespace("my-app", "3");
    assert_means("shop", "web-0 web-1 web-2 7-0");
    assert_means("default", "api-0");
    assert_means("web", "web-0 web-1 web-2");
    assert_means("3", "my-app-0 my-app-1");
}

static void an_app_of_that_name_goes_first(void **state)
{
    assert_means("7", "7-0");
    assert_means("my-app-1", "my-app-1-0");
    assert_means("4", "7-0");
}

static void each_is_meant_once_in_the_order_named(void **state)
{
    assert_means("api web-1 web 0 3", "api-0 web-1 web-0 web-2");
    assert_means("all", "web-0 web-1 web-2 api-0 7-0 my-app-1-0 my-app-0 my-app-1");
    assert_means("api all", "api-0 web-0 web-1 web-2 7-0 my-app-1-0 my-app-0 my-app-1");
}

static void an_unknown_name_is_told_with_the_nearest(void **state)
{
    assert_unknown("wbe", "there is no app \"wbe\"; did you mean \"web\"?");
    assert_unknown("web-9", "there is no app \"web-9\"; did you mean \"web\"?");
    assert_unknown("web-", "there is no app \"web-\"; did you mean \"web\"?");
    assert_unknown("99", "there is no app \"99\"");
    assert_unknown("-1", "there is no app \"-1\"");
    assert_unknown("something", "there is no app \"something\"");
}

static void a_name_of_any_length_is_told(void **state)
{
    AUTOFREE char *name = xcalloc(1, 5001);
    memset(name, 'x', 5000);
    AUTOFREE char *sentence = xasprintf("there is no app \"%.100s\"", name);
    assert_unknown(name, sentence);
}

static void without_apps_all_means_nobody(void **state)
{
    (void)tear_down(state);
    assert_int_equal(bare_open(&sup), 0);
    assert_means("all", "");
}

#define WITH_APPS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_APPS(a_name_means_all_its_instances),
        WITH_APPS(one_instance_is_meant_by_number_or_pm_id),
        WITH_APPS(a_namespace_means_its_apps),
        WITH_APPS(an_app_of_that_name_goes_first),
        WITH_APPS(each_is_meant_once_in_the_order_named),
        WITH_APPS(an_unknown_name_is_told_with_the_nearest),
        WITH_APPS(a_name_of_any_length_is_told),
        WITH_APPS(without_apps_all_means_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
