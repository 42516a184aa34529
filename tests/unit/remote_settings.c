#include "remote/settings.h"

#include "tests/unit/support.h"

#include <getopt.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

enum { TEXT = 400 };

static int read_args(struct settings *s, char text[static TEXT], char **argv)
{
    int argc = 0;
    while (argv[argc])
        argc++;
    optind = 0; /* getopt begins anew */
    text[0] = '\0';
    return settings_read(s, argc, argv, text, TEXT);
}

#define ARGS(...) ((char *[]){(char *)"proctor-console", __VA_ARGS__, NULL})

static void has_defaults_on_loopback(void **state)
{
    char text[TEXT];
    struct settings s;
    assert_int_equal(read_args(&s, text, ARGS((char *)"--data", (char *)"/srv/x/../console")), 0);
    assert_string_equal(s.data, "/srv/console");
    assert_string_equal(s.listen, "127.0.0.1:7443");
    assert_string_equal(s.agent_listen, "127.0.0.1:7444");
    assert_int_equal(s.agent_life_s, 90 * 24 * 3600);
    settings_clear(&s);
}

static void takes_every_option(void **state)
{
    char text[TEXT];
    struct settings s;
    assert_int_equal(
        read_args(&s, text,
                  ARGS((char *)"--data", (char *)"/d", (char *)"--listen", (char *)"[::1]:0",
                       (char *)"--agent-listen", (char *)"0.0.0.0:1", (char *)"--name",
                       (char *)"a.example", (char *)"--name", (char *)"10.1.2.3",
                       (char *)"--keep-days", (char *)"7", (char *)"--keep-size", (char *)"1G",
                       (char *)"--agent-cert-life", (char *)"15s", (char *)"--public-agents",
                       (char *)"b.example:443")),
        0);
    assert_int_equal(s.names.count, 2);
    assert_int_equal(s.retention.keep_ms, 7LL * 24 * 3600 * 1000);
    assert_int_equal(s.retention.limit_bytes, 1u << 30);
    assert_int_equal(s.agent_life_s, 15);
    AUTOSTRLIST struct strlist names = {0};
    settings_all_names(&s, &names);
    assert_string_equal(names.items[0], "a.example");
    assert_string_equal(names.items[2], "::1");
    assert_string_equal(names.items[names.count - 1], "b.example");
    settings_clear(&s);
}

static void names_the_option_that_is_wrong(void **state)
{
    char *const wrong[][3] = {
        {(char *)"--data", (char *)"", (char *)"--data"},
        {(char *)"--keep-days", (char *)"0", (char *)"--keep-days"},
        {(char *)"--keep-size", (char *)"much", (char *)"--keep-size"},
        {(char *)"--agent-cert-life", (char *)"1s", (char *)"--agent-cert-life"},
        {(char *)"--name", (char *)"a b", (char *)"--name"},
        {(char *)"--name", (char *)"https://x", (char *)"--name"},
        {(char *)"--public-web", (char *)"x", (char *)"--public-web"},
        {(char *)"--public-agents", (char *)"x:99999", (char *)"--public-agents"},
        {(char *)"--unknown", (char *)"x", (char *)"--unknown"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        char text[TEXT];
        struct settings s;
        assert_int_equal(
            read_args(&s, text, ARGS((char *)"--data", (char *)"/d", wrong[i][0], wrong[i][1])),
            ERR_USAGE);
        assert_non_null(strstr(text, wrong[i][2]));
        settings_clear(&s);
    }
}

static void needs_a_folder_and_takes_no_other_words(void **state)
{
    char text[TEXT];
    struct settings s;
    assert_int_equal(read_args(&s, text, ARGS((char *)"--listen", (char *)"127.0.0.1:0")),
                     ERR_USAGE);
    assert_non_null(strstr(text, "--data"));
    settings_clear(&s);
    assert_int_equal(read_args(&s, text, ARGS((char *)"--data", (char *)"/d", (char *)"tokens")),
                     ERR_USAGE);
    assert_non_null(strstr(text, "tokens"));
    settings_clear(&s);
    assert_int_equal(read_args(&s, text, ARGS((char *)"--data")), ERR_USAGE);
    settings_clear(&s);
}

static void assert_public(const struct settings *s, const char *told, const char *address,
                          const char *expected)
{
    AUTOFREE char *text = settings_public_address(s, told, address);
    assert_string_equal(text, expected);
}

static void others_are_told_the_first_name_else_the_address(void **state)
{
    struct settings s = {0};
    assert_public(&s, NULL, "127.0.0.1:41234", "127.0.0.1:41234");
    assert_public(&s, NULL, "[::1]:41234", "[::1]:41234");
    assert_public(&s, "b.example:443", "127.0.0.1:41234", "b.example:443");
    AUTOFREE char *wild = settings_public_address(&s, NULL, "0.0.0.0:41234");
    assert_null(strstr(wild, "0.0.0.0"));
    strlist_add(&s.names, "a.example");
    assert_public(&s, NULL, "0.0.0.0:41234", "a.example:41234");
    strlist_clear(&s.names);
    strlist_add(&s.names, "fd00::7");
    assert_public(&s, NULL, "[::]:1", "[fd00::7]:1");
    strlist_clear(&s.names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(has_defaults_on_loopback),
        cmocka_unit_test(takes_every_option),
        cmocka_unit_test(names_the_option_that_is_wrong),
        cmocka_unit_test(needs_a_folder_and_takes_no_other_words),
        cmocka_unit_test(others_are_told_the_first_name_else_the_address),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
