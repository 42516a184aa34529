#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "lib/base/json.h"
#include "supervisor/cli/secret.h"

static void knows_secrets_by_their_name(void **state)
{
    assert_true(secret_looks("API_KEY", "x"));
    assert_true(secret_looks("githubToken", "x"));
    assert_true(secret_looks("DB_PASSWORD", ""));
    assert_true(secret_looks("MYSQL_PWD", "x"));
    assert_true(secret_looks("SENTRY_DSN", "x"));
    assert_true(secret_looks("SESSION_COOKIE", "x"));
    assert_false(secret_looks("NODE_ENV", "production"));
    assert_false(secret_looks("PORT", "3000"));
}

static void the_working_directory_is_no_secret(void **state)
{
    assert_false(secret_looks("PWD", "/srv"));
    assert_false(secret_looks("OLDPWD", "/srv"));
}

static void knows_urls_with_credentials(void **state)
{
    assert_true(secret_looks("DATABASE_URL", "postgres://me:pw@db/app"));
    assert_true(secret_looks("REDIS", "redis://x@host"));
    assert_false(secret_looks("HOME_URL", "https://example.org/me@here"));
    assert_false(secret_looks("HOME_URL", "https://example.org?to=a@b"));
    assert_false(secret_looks("MAIL", "me@example.org"));
    assert_false(secret_looks("ODD", "x://@host"));
}

static void masks_both_environments_of_an_app(void **state)
{
    AUTOJSON json_t *apps = json_pack("[{s:{s:s,s:s}, s:{s:{s:s}, s:s}}, {}]", "env", "A_TOKEN",
                                      "1", "B", "2", "spec", "env", "C_KEY", "3", "script", "/x");
    secret_mask_apps(apps);
    const json_t *app = json_array_get(apps, 0);
    assert_string_equal(json_get_string(json_object_get(app, "env"), "A_TOKEN", ""), "***");
    assert_string_equal(json_get_string(json_object_get(app, "env"), "B", ""), "2");
    const json_t *spec = json_object_get(app, "spec");
    assert_string_equal(json_get_string(json_object_get(spec, "env"), "C_KEY", ""), "***");
    assert_string_equal(json_get_string(spec, "script", ""), "/x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_secrets_by_their_name),
        cmocka_unit_test(the_working_directory_is_no_secret),
        cmocka_unit_test(knows_urls_with_credentials),
        cmocka_unit_test(masks_both_environments_of_an_app),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
