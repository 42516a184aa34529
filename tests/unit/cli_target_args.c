#include "supervisor/cli/target_args.h"

#include "tests/unit/support.h"

#include "lib/base/err.h"
#include "lib/base/json.h"

static const char list[] = "[{\"name\":\"web\",\"spec\":{\"script\":\"/srv/web.js\"}},"
                           "{\"name\":\"web\",\"spec\":{\"script\":\"/srv/web.js\"}},"
                           "{\"name\":\"web-admin\",\"spec\":{\"script\":\"/srv/web.js\"}},"
                           "{\"name\":\"own.sh\",\"spec\":{\"script\":\"/srv/other.sh\"}},"
                           "{\"name\":\"x\",\"spec\":{\"script\":\"/srv/own.sh\"}}]";

static void assert_means(const char *operand, const char *expected)
{
    AUTOJSON json_t *apps = json_loads(list, 0, NULL);
    AUTOSTRLIST struct strlist names = {0};
    AUTOBUF struct buf found = BUF_INIT(1000);
    char text[TARGET_TEXT];
    assert_int_equal(target_resolve(operand, apps, "/srv", &names, text), 0);
    for (size_t i = 0; i < names.count; i++)
        assert_int_equal(buf_addf(&found, "%s%s", i ? " " : "", names.items[i]), 0);
    assert_string_equal(buf_str(&found), expected);
}

static void assert_refused(const char *operand, int error)
{
    AUTOJSON json_t *apps = json_loads(list, 0, NULL);
    AUTOSTRLIST struct strlist names = {0};
    char text[TARGET_TEXT];
    assert_int_equal(target_resolve(operand, apps, "/srv", &names, text), error);
    assert_non_null(strstr(text, operand));
    assert_int_equal(names.count, 0);
}

static void a_pattern_means_the_apps_whose_name_it_matches(void **state)
{
    assert_means("/web/", "web web-admin");
    assert_means("/^web$/", "web");
    assert_means("/b|x/", "web web-admin x");
    assert_means("/./", "web web-admin own.sh x");
    assert_refused("/nobody/", ERR_NOT_FOUND);
    assert_refused("/(/", ERR_SYNTAX);
    assert_true(target_is_pattern("/a/"));
    assert_false(target_is_pattern("//"));
    assert_false(target_is_pattern("/srv/web.js"));
    assert_false(target_is_pattern("web/"));
}

static void a_script_means_its_apps_unless_one_is_called_like_it(void **state)
{
    assert_means("web.js", "web web-admin");
    assert_means("/srv/web.js", "web web-admin");
    assert_means("./web.js", "web web-admin");
    assert_means("own.sh", "own.sh");
    assert_means("./own.sh", "x");
}

static void the_rest_is_the_supervisors(void **state)
{
    assert_means("all", "all");
    assert_means("3", "3");
    assert_means("web-0", "web-0");
    assert_means("nobody", "nobody");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pattern_means_the_apps_whose_name_it_matches),
        cmocka_unit_test(a_script_means_its_apps_unless_one_is_called_like_it),
        cmocka_unit_test(the_rest_is_the_supervisors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
