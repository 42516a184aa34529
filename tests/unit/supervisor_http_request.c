#include "supervisor/http_request.h"

#include "tests/unit/support.h"

#include "lib/base/limits.h"

#define HOST "Host: 127.0.0.1:9209\r\n"

static int status_of(const char *text)
{
    bool head_only;
    return http_request_status(text, strlen(text), &head_only);
}

static void a_scrape_is_answered(void **state)
{
    static const char *const good[] = {
        "GET /metrics HTTP/1.1\r\nHost: localhost:9209\r\nAccept: text/plain;version=0.0.4, "
        "*/*;q=0.1\r\n"
        "User-Agent: Prometheus/2.42.0\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n",
        "GET /metrics HTTP/1.0\r\n" HOST "\r\n",
        "GET /metrics?a=b HTTP/1.1\nhost: [::1]\n\n",
        "GET /metrics HTTP/1.1\r\nHost:LOCALHOST\r\nContent-Length: 0\r\n\r\n",
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++)
        assert_int_equal(status_of(good[i]), 200);
}

static void every_beginning_is_waited_for(void **state)
{
    static const char text[] = "HEAD /metrics HTTP/1.1\r\n" HOST "\r\n";
    bool head_only = false;
    for (size_t len = 0; len < sizeof text - 1; len++)
        assert_int_equal(http_request_status(text, len, &head_only), 0);
    assert_int_equal(http_request_status(text, sizeof text - 1, &head_only), 200);
    assert_true(head_only);
}

static void what_is_wrong_is_told(void **state)
{
    static const struct {
        int status;
        const char *text;
    } cases[] = {
        {404, "GET / HTTP/1.1\r\n" HOST "\r\n"},
        {404, "GET /metrics/ HTTP/1.1\r\n" HOST "\r\n"},
        {405, "POST /metrics HTTP/1.1\r\n" HOST "\r\n"},
        {505, "GET /metrics HTTP/2.0\r\n" HOST "\r\n"},
        {400, "GET /metrics\r\n" HOST "\r\n"},
        {400, "GET  /metrics HTTP/1.1\r\n" HOST "\r\n"},
        {400, "GET http://127.0.0.1/metrics HTTP/1.1\r\n" HOST "\r\n"},
        {400, "\r\n\r\n"},
        {400, "GET /metrics HTTP/1.1\r\n\r\n"},
        {400, "GET /metrics HTTP/1.1\r\n" HOST HOST "\r\n"},
        {400, "GET /metrics HTTP/1.1\r\n" HOST "no field\r\n\r\n"},
        {400, "GET /metrics HTTP/1.1\r\n" HOST " folded: x\r\n\r\n"},
        {400, "GET /metrics HTTP/1.1\r\n" HOST "a b: x\r\n\r\n"},
        {400, "GET /metrics HTTP/1.1\r\n" HOST "a: \x01\r\n\r\n"},
        {400, "GET /metrics HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n"},
        {400, "GET /metrics HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"},
        /* A page whose own name was made to point to us. */
        {403, "GET /metrics HTTP/1.1\r\nHost: example.org:9209\r\n\r\n"},
        {403, "GET /metrics HTTP/1.1\r\nHost: 127.0.0.1.example.org\r\n\r\n"},
        {403, "GET /metrics HTTP/1.1\r\nHost: localhost:80:x\r\n\r\n"},
        {403, "GET /metrics HTTP/1.1\r\nHost: 10.0.0.1\r\n\r\n"},
        {403, "GET /metrics HTTP/1.1\r\nHost:\r\n\r\n"},
        {403, "GET /metrics HTTP/1.1\r\nHost: localhost:\r\n\r\n"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        if (status_of(cases[i].text) != cases[i].status)
            fail_msg("%d, not %d: %s", status_of(cases[i].text), cases[i].status, cases[i].text);
}

static void a_head_without_an_end_is_refused(void **state)
{
    AUTOFREE char *text = xcalloc(1, LIMIT_METRICS_HEAD + 1);
    bool head_only;
    memset(text, 'a', LIMIT_METRICS_HEAD);
    assert_int_equal(http_request_status(text, LIMIT_METRICS_HEAD - 1, &head_only), 0);
    assert_int_equal(http_request_status(text, LIMIT_METRICS_HEAD, &head_only), 431);
    memcpy(text, "GET /metrics HTTP/1.1\r\n", 23);
    assert_int_equal(http_request_status(text, LIMIT_METRICS_HEAD, &head_only), 431);
}

static void every_status_has_a_reason(void **state)
{
    static const int all[] = {200, 400, 403, 404, 405, 431, 500, 505};
    for (size_t i = 0; i < ARRAY_SIZE(all); i++)
        assert_string_not_equal(http_request_reason(all[i]), "Error");
    assert_string_equal(http_request_reason(299), "Error");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_scrape_is_answered),
        cmocka_unit_test(every_beginning_is_waited_for),
        cmocka_unit_test(what_is_wrong_is_told),
        cmocka_unit_test(a_head_without_an_end_is_refused),
        cmocka_unit_test(every_status_has_a_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
