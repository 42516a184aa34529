#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "ecosystem/config_error.h"
#include "lib/base/err.h"

static void formats_only_what_is_known(void **state)
{
    struct config_error e;
    char space[CONFIG_ERROR_TEXT];
    assert_int_equal(config_error_set(&e, ERR_INVALID, 7, "instances", "no %d", 5), ERR_INVALID);
    assert_string_equal(config_error_format(&e, space), "key \"instances\": no 5");
    config_error_place(&e, "apps.json", "api");
    assert_string_equal(config_error_format(&e, space),
                        "apps.json:7: app \"api\": key \"instances\": no 5");
    config_error_place(&e, NULL, NULL);
    assert_string_equal(e.app, "api");
    e.column = 3;
    e.key[0] = e.app[0] = '\0';
    assert_string_equal(config_error_format(&e, space), "apps.json:7:3: no 5");
    e.line = 0;
    assert_string_equal(config_error_format(&e, space), "apps.json: no 5");
}

static void cuts_at_a_character(void **state)
{
    char to[8];
    config_error_copy(to, sizeof to, "1234567");
    assert_string_equal(to, "1234567");
    config_error_copy(to, sizeof to, "12345678");
    assert_string_equal(to, "1234…");
    config_error_copy(to, sizeof to, "123ä5678");
    assert_string_equal(to, "123…");
}

static void makes_text_printable(void **state)
{
    char to[32];
    config_error_copy(to, sizeof to, "a\x1b[1m\x7f\xc2\x9b\xc2\xa0\xff\xc3");
    assert_string_equal(to, "a?[1m??\xc2\xa0??");
}

static void holds_the_longest_error_whole(void **state)
{
    struct config_error e;
    char text[2000], space[CONFIG_ERROR_TEXT];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    config_error_set(&e, ERR_INVALID, 4294967295u, text, "%s", text);
    config_error_place(&e, text, text);
    e.column = 4294967295u;
    assert_true(strlen(config_error_format(&e, space)) > 1000);
    assert_string_equal(space + strlen(space) - 3, "…");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(formats_only_what_is_known),
        cmocka_unit_test(cuts_at_a_character),
        cmocka_unit_test(makes_text_printable),
        cmocka_unit_test(holds_the_longest_error_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
