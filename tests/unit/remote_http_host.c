/* remote/http_host.c: who is meant by Host, whose page asks by Origin, and other foreign text. */
#include "tests/unit/support.h"

#include "lib/base/err.h"
#include "remote/http_private.h"

static const char *const names[] = {"console.example.com", "build-7", "10.1.2.3", "fd00::7", NULL};
static const char listening[] = "192.168.1.5:7443";

static void check_hosts(const char *const *hosts, const char *address, bool allowed)
{
    for (; *hosts; hosts++)
        if (http_host_allowed(*hosts, address, names) != allowed)
            fail_msg("'%s' at %s should be %s", *hosts, address, allowed ? "allowed" : "refused");
}

static void takes_its_names_addresses_and_loopback(void **state)
{
    static const char *const hosts[] = {"console.example.com",
                                        "CONSOLE.Example.COM",
                                        "console.example.com:443",
                                        "console.example.com:9999",
                                        "build-7:1",
                                        "192.168.1.5:7443",
                                        "192.168.1.5:65535",
                                        "10.1.2.3",
                                        "[fd00::7]:7443",
                                        "[FD00:0::7]",
                                        "localhost",
                                        "LOCALHOST:7443",
                                        "127.0.0.1:7443",
                                        "127.9.9.9",
                                        "[::1]",
                                        "[::1]:7443",
                                        NULL};
    check_hosts(hosts, listening, true);
}

static void refuses_names_of_others(void **state)
{
    static const char *const hosts[] = {"example.com",
                                        "evil.com:7443",
                                        "console.example.com.evil.com",
                                        "xconsole.example.com",
                                        "localhost.evil.com",
                                        "localhost.",
                                        "192.168.1.6:7443",
                                        "192.168.1.50",
                                        "[fd00::8]",
                                        "[::]",
                                        "0.0.0.0",
                                        "10.1.2.30",
                                        "169.254.169.254",
                                        NULL};
    check_hosts(hosts, listening, false);
}

static void refuses_what_is_no_host(void **state)
{
    static const char *const hosts[] = {"",
                                        " ",
                                        ":",
                                        ":7443",
                                        "localhost:",
                                        "localhost:0",
                                        "localhost:65536",
                                        "localhost:+1",
                                        "localhost: 1",
                                        "localhost:7443 ",
                                        " localhost",
                                        "localhost\t",
                                        "localhost,localhost",
                                        "localhost, localhost",
                                        "localhost:7443@evil.com",
                                        "user@localhost",
                                        "localhost/",
                                        "localhost#",
                                        "localhost?",
                                        "https://localhost",
                                        "127.1",
                                        "0x7f.1",
                                        "2130706433",
                                        "0177.0.0.1",
                                        "127.0.0.1.",
                                        "127.0.0.1.1",
                                        "::1",
                                        "[::1",
                                        "::1]",
                                        "[::1]x",
                                        "[::1]:",
                                        "[::1]:x",
                                        "[::1%lo]",
                                        "[]",
                                        "[127.0.0.1]",
                                        "[localhost]",
                                        "a..b",
                                        ".localhost",
                                        "localhost\n",
                                        "lo\xc3\xa9",
                                        "%6cocalhost",
                                        "localhost\x01",
                                        NULL};
    struct http_host h;
    for (size_t i = 0; hosts[i]; i++) {
        assert_false(http_host_allowed(hosts[i], listening, names));
        if (http_host_parse(hosts[i], &h) != ERR_SYNTAX)
            fail_msg("'%s' was parsed", hosts[i]);
    }
    assert_false(http_host_allowed(NULL, listening, names));
}

static void refuses_names_that_are_too_long(void **state)
{
    char text[1000];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = '\0';
    assert_false(http_host_allowed(text, listening, names));
    text[0] = '[';
    assert_false(http_host_allowed(text, listening, names));
}

static void takes_any_address_when_it_listens_at_all(void **state)
{
    static const char *const hosts[] = {"192.168.7.7:7443", "[2001:db8::5]:7443", "8.8.8.8", NULL};
    static const char *const others[] = {"evil.com", "evil.com:7443", NULL};
    check_hosts(hosts, "0.0.0.0:7443", true);
    check_hosts(hosts, "[::]:7443", true);
    check_hosts(others, "0.0.0.0:7443", false);
    check_hosts(others, "[::]:7443", false);
    check_hosts(hosts, "127.0.0.1:7443", false);
}

static void works_without_names(void **state)
{
    static const char *const none[] = {NULL};
    assert_true(http_host_allowed("localhost:5", "127.0.0.1:5", NULL));
    assert_true(http_host_allowed("localhost:5", "127.0.0.1:5", none));
    assert_false(http_host_allowed("build-7", "127.0.0.1:5", none));
}

static void takes_its_own_origin_or_none(void **state)
{
    assert_true(http_origin_allowed(NULL, "localhost:7443"));
    assert_true(http_origin_allowed("https://localhost:7443", "localhost:7443"));
    assert_true(http_origin_allowed("https://LOCALHOST:7443", "localhost:7443"));
    assert_true(http_origin_allowed("HTTPS://localhost:7443", "localhost:7443"));
    assert_true(http_origin_allowed("https://console.example.com", "console.example.com:443"));
    assert_true(http_origin_allowed("https://console.example.com:443", "console.example.com"));
    assert_true(http_origin_allowed("https://[::1]:7443", "[0::1]:7443"));
}

static void refuses_other_origins(void **state)
{
    static const char *const origins[] = {"",
                                          "null",
                                          "https://",
                                          "https://evil.com",
                                          "http://localhost:7443",
                                          "localhost:7443",
                                          "https://localhost",
                                          "https://localhost:7444",
                                          "https://localhost:7443/",
                                          "https://localhost:7443/x",
                                          "https://localhost:7443@evil.com",
                                          "https://127.0.0.1:7443",
                                          "https://localhost:7443.evil.com",
                                          "https://localhost:7443, https://evil.com",
                                          "https://localhost:7443,https://localhost:7443",
                                          " https://localhost:7443",
                                          "https://localhost:7443 ",
                                          "file://",
                                          "chrome-extension://abc",
                                          "https:/localhost:7443",
                                          "https://localhost:07443x",
                                          NULL};
    for (size_t i = 0; origins[i]; i++)
        if (http_origin_allowed(origins[i], "localhost:7443"))
            fail_msg("origin '%s' was allowed", origins[i]);
    assert_false(http_origin_allowed("https://localhost", NULL));
}

static void reads_lengths(void **state)
{
    uint64_t n = 7;
    assert_int_equal(http_length_parse("0", &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(http_length_parse("00262144", &n), 0);
    assert_int_equal(n, 262144);
    static const char *const bad[] = {"",     "-1",  "+1",   " 1",  "1 ",
                                      "0x10", "1,1", "1, 1", "1e3", NULL};
    for (size_t i = 0; bad[i]; i++)
        assert_int_equal(http_length_parse(bad[i], &n), ERR_SYNTAX);
    assert_int_equal(http_length_parse("99999999999999999999999999", &n), ERR_TOO_BIG);
    assert_int_equal(n, 262144);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_its_names_addresses_and_loopback),
        cmocka_unit_test(refuses_names_of_others),
        cmocka_unit_test(refuses_what_is_no_host),
        cmocka_unit_test(refuses_names_that_are_too_long),
        cmocka_unit_test(takes_any_address_when_it_listens_at_all),
        cmocka_unit_test(works_without_names),
        cmocka_unit_test(takes_its_own_origin_or_none),
        cmocka_unit_test(refuses_other_origins),
        cmocka_unit_test(reads_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
