/* remote/http_head.c: heads of requests. */
#include "tests/unit/support.h"

#include "lib/base/str.h"
#include "remote/http_head.h"

static struct http_head head;
static char *text;

static int parse_bytes(const char *bytes, size_t len)
{
    const char *why = NULL;
    free(text);
    text = xcalloc(1, len + 1);
    memcpy(text, bytes, len);
    int r = http_head_parse(text, len, &head, &why);
    assert_non_null(why);
    return r;
}

static int parse(const char *bytes)
{
    return parse_bytes(bytes, strlen(bytes));
}

static int clear(void **state)
{
    http_head_clear(&head);
    free(text);
    text = NULL;
    return 0;
}

static void reads_a_head(void **state)
{
    assert_int_equal(parse("GET /a%20b/../c;d?x=%31&y#"
                           " HTTP/1.1\r\n\r\n"),
                     400);
    http_head_clear(&head);
    assert_int_equal(
        parse("GET /a%20b/../c;d?x=%31&y?z HTTP/1.1\r\nHOST:\t localhost \t\r\n"
              "Cookie: a=b\r\nX-Other: 1\r\ncookie: c=d\r\nIf-None-Match: \"1\"\r\n"
              "if-none-match:\"2\"\r\nAuthorization:\r\nX-Csrf-Token: \xc3\xa4\r\n\r\n"),
        0);
    assert_string_equal(head.method, "GET");
    assert_string_equal(head.path, "/a%20b/../c;d");
    assert_string_equal(head.query, "x=%31&y?z");
    assert_false(head.minor_0);
    assert_string_equal(head.fields[HTTP_HOST], "localhost");
    assert_string_equal(head.fields[HTTP_COOKIE], "a=b; c=d");
    assert_string_equal(head.fields[HTTP_IF_NONE_MATCH], "\"1\", \"2\"");
    assert_string_equal(head.fields[HTTP_AUTHORIZATION], "");
    assert_string_equal(head.fields[HTTP_CSRF], "\xc3\xa4");
    assert_null(head.fields[HTTP_ORIGIN]);
}

static void reads_one_without_headers(void **state)
{
    assert_int_equal(parse("DELETE / HTTP/1.0\r\n\r\n"), 0);
    assert_true(head.minor_0);
    assert_string_equal(head.path, "/");
    assert_string_equal(head.query, "");
    http_head_clear(&head);
    assert_int_equal(parse("GET /? HTTP/1.1\r\n\r\n"), 0);
    assert_string_equal(head.query, "");
}

static void refuses_what_is_no_request(void **state)
{
    static const char *const bad[] = {
        "GET\r\n\r\n",
        "GET /\r\n\r\n",
        "GET  / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1 \r\n\r\n",
        "GET / /x HTTP/1.1\r\n\r\n",
        " GET / HTTP/1.1\r\n\r\n",
        "G(T / HTTP/1.1\r\n\r\n",
        "GET x HTTP/1.1\r\n\r\n",
        "GET * HTTP/1.1\r\n\r\n",
        "GET http://a/ HTTP/1.1\r\n\r\n",
        "GET /\t HTTP/1.1\r\n\r\n",
        "GET /%4 HTTP/1.1\r\n\r\n",
        "GET /%g0 HTTP/1.1\r\n\r\n",
        "GET /%00 HTTP/1.1\r\n\r\n",
        "GET /?%00 HTTP/1.1\r\n\r\n",
        "GET /\x7f HTTP/1.1\r\n\r\n",
        "GET /\xc3\xa4 HTTP/1.1\r\n\r\n",
        "GET / http/1.1\r\n\r\n",
        "GET / HTTP/11\r\n\r\n",
        "GET / HTTP/1.1\nHost: a\r\n\r\n",
        "\r\n\r\n",
        "GET / HTTP/1.1",
        "",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        if (parse(bad[i]) != 400)
            fail_msg("taken: %s", bad[i]);
        http_head_clear(&head);
    }
    assert_int_equal(parse("PRI * HTTP/2.0\r\n\r\n"), 505);
}

static void refuses_malformed_headers(void **state)
{
    static const char *const bad[] = {
        "Host : a",
        ": a",
        "Host",
        " Host: a",
        "Host: a\r\n folded",
        "Ho st: a",
        "Host: a\nX: b",
        "Host: a\x01",
        "Host: a\rb",
        "X\xc3\xa4: a",
        "Host: a\r\nHOST: a",
        "Content-Length: 1\r\nContent-Length: 1",
        "Origin: a\r\norigin: a",
        "Authorization: a\r\nAuthorization: b",
        "X-CSRF-Token: a\r\nX-CSRF-Token: b",
        "X(: a",
    };
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        AUTOFREE char *bytes = xasprintf("GET / HTTP/1.1\r\n%s\r\n\r\n", bad[i]);
        if (parse(bytes) != 400)
            fail_msg("taken: %s", bad[i]);
        http_head_clear(&head);
    }
    assert_int_equal(parse_bytes("GET / HTTP/1.1\r\nHost: a\0b\r\n\r\n", 30), 400);
}

static void refuses_too_many_headers(void **state)
{
    AUTOBUF struct buf bytes = BUF_INIT(1 << 20);
    assert_int_equal(buf_addstr(&bytes, "GET / HTTP/1.1\r\n"), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(buf_addf(&bytes, "X%d: y\r\n", i), 0);
    AUTOFREE char *hundred = xasprintf("%s\r\n", buf_str(&bytes));
    AUTOFREE char *more = xasprintf("%sX: y\r\n\r\n", buf_str(&bytes));
    assert_int_equal(parse(hundred), 0);
    http_head_clear(&head);
    assert_int_equal(parse(more), 431);
}

static void finds_the_end_wherever_it_is_cut(void **state)
{
    static const char bytes[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\nrest\r\n\r\n";
    size_t whole = strlen("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), seen = 0;
    for (size_t len = 0; len < whole; len++) {
        assert_int_equal(http_head_length(bytes, len, seen), 0);
        seen = len;
    }
    assert_int_equal(http_head_length(bytes, whole, seen), whole);
    assert_int_equal(http_head_length(bytes, strlen(bytes), 0), whole);
    assert_int_equal(http_head_length(bytes, 0, 0), 0);
}

static void finds_words_of_a_list(void **state)
{
    assert_true(http_list_has("keep-alive, Upgrade", "upgrade"));
    assert_true(http_list_has("upgrade", "upgrade"));
    assert_true(http_list_has(" , ,UPGRADE\t,x", "upgrade"));
    assert_false(http_list_has("upgrades, xupgrade", "upgrade"));
    assert_false(http_list_has("", "upgrade"));
    assert_false(http_list_has(NULL, "upgrade"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, NULL, clear)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_a_head),
        TEST(reads_one_without_headers),
        TEST(refuses_what_is_no_request),
        TEST(refuses_malformed_headers),
        TEST(refuses_too_many_headers),
        TEST(finds_the_end_wherever_it_is_cut),
        TEST(finds_words_of_a_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
