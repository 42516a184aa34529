#include "lib/secure/host.h"

#include "tests/unit/support.h"

static void assert_kind(const char *text, enum host_kind expected)
{
    if (host_kind(text) != expected)
        fail_msg("'%s' is taken for kind %d", text, host_kind(text));
}

static void knows_addresses(void **state)
{
    assert_kind("127.0.0.1", HOST_IPV4);
    assert_kind("255.255.255.255", HOST_IPV4);
    assert_kind("::", HOST_IPV6);
    assert_kind("::1", HOST_IPV6);
    assert_kind("2001:db8::ffff:1.2.3.4", HOST_IPV6);
}

static void knows_names(void **state)
{
    assert_kind("a", HOST_NAME);
    assert_kind("localhost", HOST_NAME);
    assert_kind("Web-1.example.ORG", HOST_NAME);
    assert_kind("my_service", HOST_NAME);
    assert_kind("1.2.3.4.example", HOST_NAME);
    assert_kind("7up", HOST_NAME);
}

static void refuses_everything_else(void **state)
{
    static const char *const texts[] = {
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "-a",
        "a-",
        "a.-b",
        "a b",
        "a/b",
        "a:1",
        "[::1]",
        "fe80::1%eth0",
        "1.2.3",
        "1.2.3.4.5",
        "1.2.3.256",
        "127.1",
        "7",
        "*.a.org",
        "h\xc3\xb6.org",
        "a\nb",
        "a.b.12",
        ":",
        ":::",
        "user@host",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        assert_kind(texts[i], HOST_NONE);
}

static void holds_names_against_the_lengths_of_the_standard(void **state)
{
    char text[300];
    memset(text, 'a', sizeof text);
    text[63] = '\0';
    assert_kind(text, HOST_NAME);
    text[63] = 'a';
    text[64] = '\0';
    assert_kind(text, HOST_NONE);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 2 ? '.' : 'a';
    text[253] = '\0';
    assert_kind(text, HOST_NAME);
    text[253] = '.';
    text[255] = '\0';
    assert_kind(text, HOST_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(knows_addresses),
        cmocka_unit_test(knows_names),
        cmocka_unit_test(refuses_everything_else),
        cmocka_unit_test(holds_names_against_the_lengths_of_the_standard),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
