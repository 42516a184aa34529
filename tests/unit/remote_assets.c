/* remote/assets.c: the files of the page. */
#include "tests/unit/http_server.h"

#include "remote/assets.h"
#include "remote/assets_table.h"

static void handle(void *arg, struct http_request *r)
{
    if (!assets_reply(r))
        http_reply_error(r, ERR_NOT_FOUND, NULL);
}

static int start(void **state)
{
    return start_server(state, handle);
}

#define HTML "Content-Type: text/html; charset=utf-8\r\n"
#define SCRIPT "Content-Type: text/javascript; charset=utf-8\r\n"

static void serves_each_kind_of_file_with_its_type(void **state)
{
    static const char *const rows[][3] = {
        {"/", HTML, "<!doctype html>"},
        {"/index.html", HTML, "<!doctype html>"},
        {"/style.css", "Content-Type: text/css; charset=utf-8\r\n", "color-scheme"},
        {"/main.js", SCRIPT, "import"},
        {"/pages/login.js", SCRIPT, "import"},
        {"/vendor/preact.mjs", SCRIPT, "export"},
        {"/vendor/hooks.mjs", SCRIPT, "from\"./preact.mjs\""},
        {"/vendor/htm.mjs", SCRIPT, "export"},
        {"/vendor/uplot.mjs", SCRIPT, "export default uPlot;"},
        {"/vendor/uplot.css", "Content-Type: text/css; charset=utf-8\r\n", ".uplot"},
        {"/licences.txt", "Content-Type: text/plain; charset=utf-8\r\n", "==== preact 11."},
        {"/icon.svg", "Content-Type: image/svg+xml\r\n", "<svg"},
        {"/favicon.ico", "Content-Type: image/svg+xml\r\n", "<svg"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        const char *text = curl("-i", rows[i][0]);
        assert_has(text, "200 OK");
        assert_has(text, rows[i][1]);
        assert_has(text, rows[i][2]);
        assert_has(text, "Cache-Control: no-cache\r\n");
        assert_lacks(text, "Cache-Control: no-store");
        assert_lacks(text, "Content-Encoding");
        assert_secured(text);
    }
}

static void gives_the_page_for_the_path_of_a_page(void **state)
{
    static const char *const pages[] = {"/fleet", "/login?next=/a.js", "/app/api.v2", "/profile/1",
                                        "/nowhere/at/all.js"};
    for (size_t i = 0; i < ARRAY_SIZE(pages); i++)
        assert_has(curl("-i", pages[i]), "<!doctype html>");
}

/* A browser that gets a page for a script says nothing of use. */
static void gives_no_page_for_a_file_that_is_missing(void **state)
{
    static const char *const missing[] = {"/page.js",    "/pages/none.js", "/pages/none",
                                          "/vendor/../", "/parts",         "/robots.txt"};
    for (size_t i = 0; i < ARRAY_SIZE(missing); i++)
        assert_has(curl("-i --path-as-is", missing[i]), "404 Not Found");
}

/* The tag of the last reply, quotes included. */
static char *etag_of(const char *reply)
{
    const char *tag = strstr(reply, "ETag: ");
    assert_non_null(tag);
    return xstrndup(tag + 6, strcspn(tag + 6, "\r"));
}

static void sends_nothing_to_who_has_it(void **state)
{
    const char *text = curl("-i", "/main.js");
    AUTOFREE char *etag = etag_of(text);
    assert_int_equal(strlen(etag), 66);
    AUTOFREE char *same = xasprintf("-i -H 'If-None-Match: \"other\", W/%s'", etag);
    text = curl(same, "/main.js");
    assert_has(text, "304 Not Modified");
    assert_has(text, etag);
    assert_has(text, "Vary: Accept-Encoding\r\n");
    assert_lacks(text, "import");
    assert_has(curl("-i -H 'If-None-Match: \"other\"'", "/main.js"), "200 OK");
    assert_has(curl(same, "/style.css"), "200 OK");
}

static void gzips_for_who_can_read_it(void **state)
{
    const char *text = curl("-i --compressed", "/main.js");
    assert_has(text, "Content-Encoding: gzip\r\n");
    assert_has(text, "Vary: Accept-Encoding\r\n");
    assert_has(text, "import");
    AUTOFREE char *etag = etag_of(text);
    /* What is one for the one form is none for the other. */
    AUTOFREE char *same = xasprintf("-i -H 'If-None-Match: %s'", etag);
    assert_has(curl(same, "/main.js"), "200 OK");
    AUTOFREE char *packed = xasprintf("%s --compressed", same);
    assert_has(curl(packed, "/main.js"), "304 Not Modified");
    text = curl("-I -H 'Accept-Encoding: gzip'", "/main.js");
    assert_has(text, "Content-Encoding: gzip\r\n");
    assert_has(text, "Content-Length: ");
}

static void reads_accept_encoding(void **state)
{
    static const char *const yes[] = {"gzip",        "deflate, gzip",    "br,GZIP;q=0.5",
                                      "gzip ;q=1.0", "a,\tgzip; Q=0.01", "gzip;x=1"};
    static const char *const no[] = {
        "",         "*",           "gzip;q=0",  "deflate, gzip; q=0.000",
        "identity", "x-gzip, zip", "gzipped,b", ",,;"};
    for (size_t i = 0; i < ARRAY_SIZE(yes); i++)
        assert_true(assets_may_gzip(yes[i]));
    for (size_t i = 0; i < ARRAY_SIZE(no); i++)
        assert_false(assets_may_gzip(no[i]));
    assert_false(assets_may_gzip(NULL));
}

static bool is_ours(const struct asset *a)
{
    return strncmp(a->path, "/vendor/", 8) != 0 && !str_eq(a->path, "/licences.txt");
}

static bool has(const struct asset *a, const char *word)
{
    return memmem(assets_bytes + a->begin, a->bytes, word, strlen(word)) != NULL;
}

/* The policy allows nothing inline, and texts of hosts must not become markup. */
static void holds_nothing_that_the_policy_forbids(void **state)
{
    static const char *const forbidden[] = {"innerHTML",
                                            "outerHTML",
                                            "insertAdjacentHTML",
                                            "dangerouslySetInnerHTML",
                                            "document.write",
                                            "eval(",
                                            "<script>",
                                            " style=\"",
                                            " onclick=",
                                            "http://",
                                            "https://"};
    for (size_t i = 0; i < assets_count; i++)
        for (size_t j = 0; is_ours(&assets_table[i]) && j < ARRAY_SIZE(forbidden); j++)
            if (has(&assets_table[i], forbidden[j]) && !str_ends(assets_table[i].path, ".svg"))
                fail_msg("%s holds %s", assets_table[i].path, forbidden[j]);
}

/* All pages together; what the first one loads is measured in a browser. */
static void stays_small(void **state)
{
    size_t all = 0;
    for (size_t i = 0; i < assets_count; i++)
        if (!str_eq(assets_table[i].path, "/licences.txt"))
            all += assets_table[i].gzip_bytes ? assets_table[i].gzip_bytes : assets_table[i].bytes;
    assert_true(all < 200 * 1024);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, start, stop_server)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(serves_each_kind_of_file_with_its_type),
        TEST(gives_the_page_for_the_path_of_a_page),
        TEST(gives_no_page_for_a_file_that_is_missing),
        TEST(sends_nothing_to_who_has_it),
        TEST(gzips_for_who_can_read_it),
        cmocka_unit_test(reads_accept_encoding),
        cmocka_unit_test(holds_nothing_that_the_policy_forbids),
        cmocka_unit_test(stays_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
