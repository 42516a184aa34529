#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "agent/inspector/capture.h"
#include "agent/inspector/cdp.h"
#include "agent/inspector/kind.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"

static void makes_requests_that_are_valid_json(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(4096);
    assert_int_equal(cdp_request(&out, 1, "Profiler.enable", NULL), 0);
    assert_string_equal(out.data, "{\"id\":1,\"method\":\"Profiler.enable\"}");
    buf_reset(&out);
    AUTOJSON json_t *params = cdp_evaluate_params("a(\"b\\n\")\n");
    assert_int_equal(cdp_request(&out, 12, "Runtime.evaluate", params), 0);
    assert_string_equal(out.data, "{\"id\":12,\"method\":\"Runtime.evaluate\",\"params\":{"
                                  "\"expression\":\"a(\\\"b\\\\n\\\")\\n\","
                                  "\"returnByValue\":true,\"silent\":true}}");
}

static void refuses_a_request_past_the_limit(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(40);
    AUTOJSON json_t *params = cdp_evaluate_params("some expression");
    assert_int_equal(cdp_request(&out, 1, "Runtime.evaluate", params), ERR_TOO_BIG);
}

static struct cdp_message parse(const char *text)
{
    struct cdp_message m;
    assert_int_equal(cdp_parse(text, strlen(text), &m), 0);
    return m;
}

static void reads_replies_events_and_errors(void **state)
{
    struct cdp_message m =
        parse("{\"id\":3,\"result\":{\"result\":{\"type\":\"number\",\"value\":4711}}}");
    assert_int_equal(m.id, 3);
    assert_null(m.method);
    assert_null(m.error_text);
    assert_int_equal(cdp_evaluate_int(m.result), 4711);
    cdp_message_clear(&m);
    m = parse("{\"method\":\"NodeRuntime.waitingForDisconnect\"}");
    assert_int_equal(m.id, 0);
    assert_string_equal(m.method, "NodeRuntime.waitingForDisconnect");
    cdp_message_clear(&m);
    m = parse("{\"error\":{\"code\":-32000,\"message\":\"Profiler is not enabled\"},\"id\":4}");
    assert_string_equal(m.error_text, "Profiler is not enabled");
    assert_null(m.result);
    cdp_message_clear(&m);
    m = parse("{\"error\":7,\"id\":4}");
    assert_string_equal(m.error_text, "an error without a text");
    cdp_message_clear(&m);
}

static void an_evaluate_that_gave_no_integer_is_zero(void **state)
{
    static const char *const texts[] = {
        "{\"id\":1}",
        "{\"id\":1,\"result\":{}}",
        "{\"id\":1,\"result\":{\"result\":{\"value\":\"4711\"}}}",
        "{\"id\":1,\"result\":{\"result\":{\"type\":\"object\"},\"exceptionDetails\":{}}}",
        "{\"id\":1,\"result\":[4711]}",
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct cdp_message m = parse(texts[i]);
        assert_int_equal(cdp_evaluate_int(m.result), 0);
        cdp_message_clear(&m);
    }
}

static void refuses_what_is_no_object(void **state)
{
    struct cdp_message m;
    assert_int_equal(cdp_parse("[]", 2, &m), ERR_SYNTAX);
    assert_int_equal(cdp_parse("", 0, &m), ERR_SYNTAX);
    assert_int_equal(cdp_parse("{\"a\":\"\xff\"}", 9, &m), ERR_SYNTAX);
}

static void check_params(json_t *params, const char *expected)
{
    AUTOBUF struct buf out = BUF_INIT(4096);
    AUTOJSON json_t *owned = params;
    assert_int_equal(json_to_buf(owned, &out), 0);
    assert_string_equal(out.data, expected);
}

static void kinds_have_their_parameters(void **state)
{
    struct capture_order order = {.node_major = 18};
    const struct kind *cpu = kind_find("cpu"), *heap = kind_find("heap");
    assert_null(kind_find("snapshot"));
    assert_null(kind_find(""));
    check_params(cpu->interval_params(&order), "{\"interval\":5000}");
    check_params(heap->start_params(&order), "{\"samplingInterval\":524288}");
    order = (struct capture_order){.node_major = 20, .interval_us = 1000, .interval_bytes = 32768};
    check_params(cpu->interval_params(&order), "{\"interval\":1000}");
    check_params(heap->start_params(&order),
                 "{\"samplingInterval\":32768,\"includeObjectsCollectedByMajorGC\":false,"
                 "\"includeObjectsCollectedByMinorGC\":false}");
    assert_null(cpu->start_params(&order));
    assert_true(kind_needs_idle_notifier(cpu, 8) && kind_needs_idle_notifier(cpu, 12));
    assert_false(kind_needs_idle_notifier(cpu, 14) || kind_needs_idle_notifier(heap, 8));
}

static void stop_reasons_have_names(void **state)
{
    assert_int_equal(stop_reason_from_name(NULL), STOP_REQUESTED);
    assert_int_equal(stop_reason_from_name("requested"), STOP_REQUESTED);
    assert_int_equal(stop_reason_from_name("app_exit"), STOP_APP_EXIT);
    assert_int_equal(stop_reason_from_name("app_stop"), STOP_APP_STOP);
    assert_int_equal(stop_reason_from_name("else"), STOP_NONE);
    assert_null(stop_reason_name(STOP_NONE));
    assert_string_equal(stop_reason_name(STOP_APP_EXIT), "app_exit");
    assert_string_equal(capture_phase_name(PHASE_SENDING), "sending");
    assert_string_equal(capture_state_name(CAPTURE_PARTIAL), "partial");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_requests_that_are_valid_json),
        cmocka_unit_test(refuses_a_request_past_the_limit),
        cmocka_unit_test(reads_replies_events_and_errors),
        cmocka_unit_test(an_evaluate_that_gave_no_integer_is_zero),
        cmocka_unit_test(refuses_what_is_no_object),
        cmocka_unit_test(kinds_have_their_parameters),
        cmocka_unit_test(stop_reasons_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
