/* remote/assets.c: the files of the page. */
#include "tests/unit/http_server.h"

#include "remote/assets.h"

static void handle(void *arg, struct http_request *r)
{
    if (!assets_reply(r))
        http_reply_error(r, ERR_NOT_FOUND, NULL);
}

static int start(void **state)
{
    return start_server(state, handle);
}

static void serves_each_file_with_its_type(void **state)
{
    static const char *const rows[][3] = {
        {"/", "Content-Type: text/html; charset=utf-8\r\n", "<!doctype html>"},
        {"/page.css", "Content-Type: text/css; charset=utf-8\r\n", "color-scheme"},
        {"/page.js", "Content-Type: text/javascript; charset=utf-8\r\n", "'use strict';"},
        {"/icon.svg", "Content-Type: image/svg+xml\r\n", "<svg"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *text = curl("-i", rows[i][0]);
        assert_has(text, "200 OK");
        assert_has(text, rows[i][1]);
        assert_has(text, rows[i][2]);
        assert_has(text, "Cache-Control: no-cache\r\n");
        assert_lacks(text, "Cache-Control: no-store");
        assert_secured(text);
    }
    assert_has(curl("-i", "/page.htm"), "404 Not Found");
}

static void sends_nothing_to_who_has_it(void **state)
{
    const char *text = curl("-i", "/page.js");
    const char *tag = strstr(text, "ETag: ");
    assert_non_null(tag);
    AUTOFREE char *etag = xstrndup(tag + 6, strcspn(tag + 6, "\r"));
    assert_int_equal(strlen(etag), 66);
    AUTOFREE char *same = xasprintf("-i -H 'If-None-Match: \"other\", W/%s'", etag);
    text = curl(same, "/page.js");
    assert_has(text, "304 Not Modified");
    assert_has(text, etag);
    assert_lacks(text, "use strict");
    assert_has(curl("-i -H 'If-None-Match: \"other\"'", "/page.js"), "200 OK");
    assert_has(curl(same, "/page.css"), "200 OK");
}

/* The policy allows nothing inline, and texts of hosts must not become markup. */
static void holds_nothing_that_the_policy_forbids(void **state)
{
    static const char *const forbidden[] = {"innerHTML",      "outerHTML", "insertAdjacentHTML",
                                            "document.write", "eval(",     "<script>",
                                            "style=",         "onclick=",  "http://"};
    static const char *const paths[] = {"/", "/page.css", "/page.js"};
    for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
        const char *text = curl("", paths[i]);
        for (size_t j = 0; j < ARRAY_SIZE(forbidden); j++)
            assert_lacks(text, forbidden[j]);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(serves_each_file_with_its_type),
        TEST(sends_nothing_to_who_has_it),
        TEST(holds_nothing_that_the_policy_forbids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
