#include "agent/record.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/wire/blob.h"

#define ID "01890a5d-ac96-774b-bcce-b302099a8057"
#define OTHER "0189ffff-ac96-774b-bcce-b302099a8057"
#define NOW INT64_C(1700000000000)

static int from_request(const char *json, struct record *r, char *text)
{
    AUTOJSON json_t *params = json_object_parse(json, strlen(json));
    assert_non_null(params);
    return record_from_request(params, NOW, r, text);
}

static void make(struct record *r)
{
    char text[RECORD_TEXT];
    record_init(r);
    assert_int_equal(from_request("{\"id\":\"" ID
                                  "\",\"kind\":\"cpu\",\"app\":\"web\",\"instance\":2,"
                                  "\"duration_ms\":1000,\"interval_us\":5000,"
                                  "\"not_after_ms\":1700000005000,\"requester\":\"shell\"}",
                                  r, text),
                     0);
}

static char *to_text(const struct record *r)
{
    struct buf out = BUF_INIT(LIMIT_CAPTURE_RECORD);
    AUTOJSON json_t *json = record_to_json(r);
    assert_int_equal(json_to_buf(json, &out), 0);
    return buf_take(&out);
}

static int parse(const char *text, struct record *r, char *why)
{
    record_init(r);
    return record_parse(text, strlen(text), r, why);
}

static int answer(struct record *r, const char *json)
{
    AUTOJSON json_t *result = json_object_parse(json, strlen(json));
    assert_non_null(result);
    return record_answer(r, result, NOW + 3000);
}

static void comes_back_from_json_as_it_was(void **state)
{
    char why[RECORD_TEXT];
    AUTORECORD struct record r;
    AUTORECORD struct record again;
    make(&r);
    assert_true(record_enter(&r, "open", NOW + 1));
    assert_int_equal(answer(&r,
                            "{\"state\":\"partial\",\"phase\":\"sending\",\"bytes\":70,\"pid\":12,"
                            "\"node_version\":\"v20.1.0\",\"start_pause_us\":900,\"measured_us\":5,"
                            "\"reason\":\"app_exit\",\"warnings\":[\"port_left_open\"]}"),
                     0);
    AUTOFREE char *text = to_text(&r);
    assert_int_equal(parse(text, &again, why), 0);
    AUTOFREE char *text_again = to_text(&again);
    assert_string_equal(text, text_again);
    assert_int_equal(again.state, RECORD_PARTIAL);
    assert_string_equal(record_phase(&again), "sending");
    assert_int_equal(again.ended_ms, NOW + 3000);
    assert_true(record_has_result(&again));
}

static void leaves_out_what_is_not_known(void **state)
{
    AUTORECORD struct record r;
    make(&r);
    AUTOFREE char *text = to_text(&r);
    assert_null(strstr(text, "\"pid\""));
    assert_null(strstr(text, "\"bytes\""));
    assert_null(strstr(text, "\"phase\""));
    assert_null(strstr(text, "\"error\""));
    assert_null(strstr(text, "\"ended_ms\""));
    assert_non_null(strstr(text, "\"phases\":[]"));
    assert_non_null(strstr(text, "\"state\":\"queued\""));
}

static void asks_the_supervisor_without_what_is_ours(void **state)
{
    AUTORECORD struct record r;
    make(&r);
    AUTOJSON json_t *asked = record_to_request(&r);
    assert_string_equal(json_get_string(asked, "app", ""), "web");
    assert_int_equal(json_get_int(asked, "duration_ms", 0), 1000);
    assert_int_equal(json_get_int(asked, "instance", 0), 2);
    assert_null(json_object_get(asked, "not_after_ms"));
    assert_null(json_object_get(asked, "created_ms"));
    assert_null(json_object_get(asked, "pid"));
}

static void refuses_kinds_and_intervals_that_do_not_belong(void **state)
{
    char why[RECORD_TEXT];
    AUTORECORD struct record r;
    record_init(&r);
#define REQUEST(kind, more)                                                                        \
    "{\"id\":\"" ID "\",\"kind\":\"" kind "\",\"app\":\"a\",\"not_after_ms\":1" more "}"
    assert_int_equal(from_request(REQUEST("snapshot", ""), &r, why), ERR_UNSUPPORTED);
    assert_string_equal(why,
                        "kind \"snapshot\" is not supported: a capture is of kind cpu or heap");
    assert_int_equal(from_request(REQUEST("heap", ",\"interval_us\":100"), &r, why), ERR_INVALID);
    assert_non_null(strstr(why, "interval_bytes"));
    assert_int_equal(from_request(REQUEST("cpu", ",\"interval_bytes\":4096"), &r, why),
                     ERR_INVALID);
    assert_int_equal(from_request(REQUEST("cpu", ",\"duration_ms\":0"), &r, why), ERR_INVALID);
    assert_non_null(strstr(why, "\"duration_ms\""));
#undef REQUEST
}

static void refuses_torn_and_foreign_text(void **state)
{
    char why[RECORD_TEXT];
    AUTORECORD struct record r;
    make(&r);
    assert_true(record_enter(&r, "open", NOW));
    AUTOFREE char *text = to_text(&r);
    for (size_t len = 0; len < strlen(text); len++) {
        AUTORECORD struct record torn;
        record_init(&torn);
        assert_int_equal(record_parse(text, len, &torn, why), ERR_SYNTAX);
    }
    AUTORECORD struct record other;
    assert_int_equal(parse("[]", &other, why), ERR_SYNTAX);
    assert_int_equal(parse("{}", &other, why), ERR_INVALID);
    assert_int_equal(parse("{\"id\":\"" ID "\"}", &other, why), ERR_INVALID);
}

/* One field of a good record replaced. */
static void refuse_with(const char *key, const char *value_json, const char *named)
{
    char why[RECORD_TEXT];
    AUTORECORD struct record r;
    AUTORECORD struct record out;
    make(&r);
    AUTOJSON json_t *json = record_to_json(&r);
    json_t *value = json_loads(value_json, JSON_DECODE_ANY, NULL);
    assert_non_null(value);
    (void)json_object_set_new(json, key, value);
    AUTOFREE char *text = json_dumps(json, JSON_COMPACT);
    assert_int_equal(parse(text, &out, why), ERR_INVALID);
    assert_non_null(strstr(why, named));
}

static void names_the_field_that_does_not_fit(void **state)
{
    refuse_with("kind", "\"trace\"", "trace");
    refuse_with("state", "\"lost\"", "state");
    refuse_with("state", "\"done\"", "ended_ms");
    refuse_with("ended_ms", "5", "ended_ms");
    refuse_with("app", "7", "app");
    refuse_with("app", "\"\"", "app");
    refuse_with("pid", "-1", "pid");
    refuse_with("created_ms", "\"now\"", "created_ms");
    refuse_with("phases", "{}", "phases");
    refuse_with("phases", "[{\"phase\":\"open\"}]", "phases");
    refuse_with("phases", "[{\"phase\":\"OPEN\",\"at_ms\":1}]", "phases");
    refuse_with("warnings", "[1]", "warnings");
    refuse_with("error", "{\"name\":\"X\"}", "error");
}

static void notes_each_phase_once(void **state)
{
    AUTORECORD struct record r;
    make(&r);
    assert_string_equal(record_phase(&r), "queued");
    assert_true(record_enter(&r, "open", 1));
    assert_false(record_enter(&r, "open", 2));
    assert_false(record_enter(&r, "", 2));
    assert_false(record_enter(&r, "a phase", 2));
    assert_false(record_enter(&r, "seventeen_letters", 2));
    for (char name[] = "a"; name[0] < 'a' + RECORD_PHASES - 1; name[0]++)
        assert_true(record_enter(&r, name, 3));
    assert_false(record_enter(&r, "late", 4));
    assert_int_equal(r.phase_count, RECORD_PHASES);
}

static void runs_from_the_first_progress_on(void **state)
{
    AUTORECORD struct record r;
    make(&r);
    AUTOJSON json_t *first = json_pack("{s:s,s:I,s:i,s:s}", "phase", "open", "at_ms",
                                       (json_int_t)NOW, "pid", 77, "node_version", "v22.0.0");
    assert_true(record_progress(&r, first, NOW + 9));
    assert_false(record_progress(&r, first, NOW + 9));
    assert_int_equal(r.state, RECORD_RUNNING);
    assert_int_equal(r.pid, 77);
    assert_string_equal(r.node_version, "v22.0.0");
    assert_int_equal(r.phases[0].at_ms, NOW);
}

static void takes_no_answer_without_an_end(void **state)
{
    AUTORECORD struct record r;
    make(&r);
    assert_int_equal(answer(&r, "{}"), ERR_PROTOCOL);
    assert_int_equal(answer(&r, "{\"state\":\"running\"}"), ERR_PROTOCOL);
    assert_int_equal(answer(&r, "{\"state\":\"expired\"}"), ERR_PROTOCOL);
    assert_int_equal(r.state, RECORD_QUEUED);
}

static void leaves_out_fields_of_an_answer_that_do_not_fit(void **state)
{
    AUTORECORD struct record r;
    make(&r);
    assert_int_equal(answer(&r,
                            "{\"state\":\"done\",\"phase\":\"sending\",\"bytes\":\"many\","
                            "\"node_version\":\"" OTHER "\",\"reason\":\"" OTHER "\","
                            "\"warnings\":[\"" OTHER "\",\"a\",\"b\",\"c\",\"d\",\"e\",\"f\"]}"),
                     0);
    AUTOFREE char *text = to_text(&r);
    assert_null(strstr(text, OTHER));
    assert_int_equal(r.bytes, RECORD_UNKNOWN);
    /* There is always room for our own. */
    record_warn(&r, RECORD_RESULT_MISSING);
    assert_false(record_has_result(&r));
}

static void keeps_a_failures_words_but_no_uuid(void **state)
{
    AUTORECORD struct record r;
    make(&r);
    record_fail(&r, "NO_LISTEN",
                "nothing at ws://127.0.0.1:9229/0189FFFF-ac96-774b-bcce-b302099a8057 for " ID, NOW);
    assert_string_equal(r.error_name, "NO_LISTEN");
    assert_string_equal(r.error_message, "nothing at ws://127.0.0.1:9229/(hidden) for " ID);
    assert_int_equal(r.state, RECORD_FAILED);
    record_fail(&r, NULL, NULL, NOW);
    assert_string_equal(r.error_name, "FAILED");
    record_fail(&r, "POLICY", "", NOW);
    assert_string_equal(r.error_message, "refused by the policy of this host");
    /* Its own strings are good arguments, too. */
    record_fail(&r, r.error_name, r.error_message, NOW);
    assert_string_equal(r.error_message, "refused by the policy of this host");
}

static void cuts_long_messages_between_characters(void **state)
{
    char long_text[2 * RECORD_MESSAGE];
    char why[RECORD_TEXT];
    AUTORECORD struct record r;
    AUTORECORD struct record again;
    /* The limit falls into the middle of a two-byte character. */
    for (size_t i = 0; i < sizeof long_text - 1; i++)
        long_text[i] = i == 0 ? 'x' : i % 2 ? '\xc3' : '\xa9';
    long_text[sizeof long_text - 1] = '\0';
    make(&r);
    record_fail(&r, "FAILED", long_text, NOW);
    assert_int_equal(strlen(r.error_message), RECORD_MESSAGE - 1);
    AUTOFREE char *text = to_text(&r);
    assert_null(strchr(r.error_message, '?'));
    assert_int_equal(parse(text, &again, why), 0);
    assert_string_equal(again.error_message, r.error_message);
}

/* ---- captures of the console, and packed results --------------------------------------------- */

static int from_console(const char *json, struct record *r, char *text)
{
    AUTOJSON json_t *message = json_object_parse(json, strlen(json));
    assert_non_null(message);
    return record_from_console(message, ID, NOW, r, text);
}

#define FROM_CONSOLE(more)                                                                         \
    "{\"type\":\"capture.start\",\"id\":\"" ID "\",\"kind\":\"heap\",\"app\":\"web\","             \
    "\"not_after_ms\":1700000005000" more "}"

static void knows_what_the_console_has_asked_for(void **state)
{
    char why[RECORD_TEXT];
    AUTORECORD struct record r, again, local;
    record_init(&r);
    assert_int_equal(from_console(FROM_CONSOLE(",\"role\":\"operator\""), &r, why), 0);
    assert_true(r.from_console);
    assert_string_equal(r.role, "operator");
    AUTOJSON json_t *asked = record_to_request(&r);
    assert_string_equal(json_get_string(asked, "role", ""), "operator");
    assert_null(json_object_get(asked, "origin"));
    r.delivered = true;
    AUTOFREE char *text = to_text(&r);
    assert_int_equal(parse(text, &again, why), 0);
    assert_true(again.from_console && again.delivered);
    assert_string_equal(again.role, "operator");
    assert_string_equal(again.host, ID);
    AUTOJSON json_t *told = record_for_console(record_to_json(&again));
    assert_null(json_object_get(told, "host"));
    assert_null(json_object_get(told, "delivered"));
    assert_string_equal(json_get_string(told, "origin", ""), "console");
    /* Nobody else can say so. */
    record_init(&local);
    assert_int_equal(from_request(FROM_CONSOLE(",\"role\":\"admin\",\"origin\":\"console\","
                                               "\"delivered\":true,\"stored_bytes\":1"),
                                  &local, why),
                     0);
    assert_false(local.from_console || local.delivered);
    assert_null(local.role);
    assert_int_equal(local.stored_bytes, RECORD_UNKNOWN);
    AUTOFREE char *local_text = to_text(&local);
    assert_null(strstr(local_text, "origin"));
    assert_null(strstr(local_text, "role"));
    assert_null(strstr(local_text, "delivered"));
}

static void wants_a_role_from_the_console(void **state)
{
    char why[RECORD_TEXT];
    AUTORECORD struct record r;
    record_init(&r);
    assert_int_equal(from_console(FROM_CONSOLE(""), &r, why), ERR_INVALID);
    assert_non_null(strstr(why, "\"role\""));
    assert_int_equal(from_console(FROM_CONSOLE(",\"role\":\"a much too long role\""), &r, why),
                     ERR_INVALID);
    assert_int_equal(
        from_console(FROM_CONSOLE(",\"role\":\"viewer\",\"interval_us\":1000"), &r, why),
        ERR_INVALID);
    assert_non_null(strstr(why, "interval_us"));
}

static void keeps_the_sums_of_a_packed_result(void **state)
{
    char why[RECORD_TEXT];
    AUTORECORD struct record r, again;
    struct blob_sums sums = {.bytes = 70, .stored_bytes = 0};
    memset(sums.sha256, 0xab, sizeof sums.sha256);
    make(&r);
    record_end(&r, RECORD_DONE, NOW);
    assert_false(record_packed(&r));
    record_pack(&r, &sums);
    assert_true(record_packed(&r));
    AUTOFREE char *text = to_text(&r);
    assert_int_equal(parse(text, &again, why), 0);
    assert_true(record_packed(&again));
    assert_int_equal(again.bytes, 70);
    assert_int_equal(again.stored_bytes, 0);
    assert_int_equal(strspn(again.sha256, "ab"), 64);
    assert_int_equal(strspn(again.stored_sha256, "0"), 64);
    record_unpack(&again);
    assert_false(record_packed(&again));
    AUTOFREE char *text_again = to_text(&again);
    assert_null(strstr(text_again, "stored"));
    assert_null(strstr(text_again, "sha256"));
    assert_true(record_has_result(&r));
    record_warn(&r, RECORD_RESULT_DAMAGED);
    assert_false(record_has_result(&r));
}

static void names_the_new_field_that_does_not_fit(void **state)
{
    refuse_with("origin", "\"moon\"", "origin");
    refuse_with("origin", "1", "origin");
    refuse_with("delivered", "\"yes\"", "delivered");
    refuse_with("role", "\"a role of 17 bytes\"", "role");
    refuse_with("stored_bytes", "-1", "stored_bytes");
    refuse_with("sha256", "\"abc\"", "sha256");
    refuse_with("sha256", "\"" ID ID "\"", "sha256");
#define UPPER "ABCDEF0123456789"
    refuse_with("stored_sha256", "\"" UPPER UPPER UPPER UPPER "\"", "stored_sha256");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comes_back_from_json_as_it_was),
        cmocka_unit_test(leaves_out_what_is_not_known),
        cmocka_unit_test(asks_the_supervisor_without_what_is_ours),
        cmocka_unit_test(refuses_kinds_and_intervals_that_do_not_belong),
        cmocka_unit_test(refuses_torn_and_foreign_text),
        cmocka_unit_test(names_the_field_that_does_not_fit),
        cmocka_unit_test(notes_each_phase_once),
        cmocka_unit_test(runs_from_the_first_progress_on),
        cmocka_unit_test(takes_no_answer_without_an_end),
        cmocka_unit_test(leaves_out_fields_of_an_answer_that_do_not_fit),
        cmocka_unit_test(keeps_a_failures_words_but_no_uuid),
        cmocka_unit_test(cuts_long_messages_between_characters),
        cmocka_unit_test(knows_what_the_console_has_asked_for),
        cmocka_unit_test(wants_a_role_from_the_console),
        cmocka_unit_test(keeps_the_sums_of_a_packed_result),
        cmocka_unit_test(names_the_new_field_that_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
