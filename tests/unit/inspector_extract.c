#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "agent/inspector/extract.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"

struct run {
    struct extract x;
    struct buf sunk;
    int sink_result;
};

static int on_bytes(void *arg, const char *data, size_t len)
{
    struct run *run = arg;
    assert_true(len > 0);
    assert_int_equal(buf_add(&run->sunk, data, len), 0);
    return run->sink_result;
}

static void run_init(struct run *run, int64_t awaited_id)
{
    *run = (struct run){.sunk = BUF_INIT(16u << 20)};
    extract_init(&run->x, on_bytes, run);
    run->x.awaited_id = awaited_id;
}

static void run_clear(struct run *run)
{
    extract_clear(&run->x);
    buf_clear(&run->sunk);
}

/* From memory of its own, so that ASan sees a read past its end. */
static int feed(struct run *run, const char *data, size_t len, bool final)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, data, len);
    int r = extract_feed(&run->x, copy, len, final);
    free(copy);
    return r;
}

/* The text cut in three at all pairs of positions: always the same result and the same bytes. */
static void check(int64_t awaited_id, const char *text, int expected, const char *expected_bytes)
{
    size_t len = strlen(text);
    for (size_t a = 0; a <= len; a++) {
        for (size_t b = a; b <= len; b++) {
            struct run run;
            run_init(&run, awaited_id);
            int r = feed(&run, text, a, false);
            if (r >= 0)
                r = feed(&run, text + a, b - a, false);
            if (r >= 0)
                r = feed(&run, text + b, len - b, true);
            if (r != expected)
                fail_msg("cut at %zu, %zu: %d, not %d: %s", a, b, r, expected, text);
            if (r == EXTRACT_MESSAGE)
                assert_string_equal(buf_str(&run.x.message), text);
            if (r >= 0)
                assert_string_equal(buf_str(&run.sunk), expected_bytes);
            run_clear(&run);
        }
    }
}

static void copies_the_profile_of_the_awaited_reply(void **state)
{
    check(7, "{\"id\":7,\"result\":{\"profile\":{\"nodes\":[1,{}]}}}", EXTRACT_PROFILE,
          "{\"nodes\":[1,{}]}");
    check(7, "{\"id\":7,\"result\":{\"profile\":[]}}", EXTRACT_PROFILE, "[]");
    check(7, " { \"id\" : 7 , \"result\" : { \"profile\" :  {} , \"x\": 1 } } ", EXTRACT_PROFILE,
          "{}");
    check(7, "{\"id\":7,\"result\":{\"a\":{\"profile\":1},\"profile\":-1.5e2}}", EXTRACT_PROFILE,
          "-1.5e2");
    check(7, "{\"id\":7,\"result\":{\"profile\":null},\"method\":\"m\"}", EXTRACT_PROFILE, "null");
}

static void is_not_fooled_by_strings(void **state)
{
    check(7, "{\"id\":7,\"result\":{\"profile\":{\"n\":\"}]\\\"}\\\\\"}}}", EXTRACT_PROFILE,
          "{\"n\":\"}]\\\"}\\\\\"}");
    check(7, "{\"id\":7,\"result\":{\"x\":\"\\\"profile\\\":{\",\"profile\":\"\\u0022\"}}",
          EXTRACT_PROFILE, "\"\\u0022\"");
    check(7, "{\"id\":7,\"r\":\"{\\\"id\\\":8\",\"result\":{\"profile\":\"\"}}", EXTRACT_PROFILE,
          "\"\"");
}

static void hands_over_small_messages_whole(void **state)
{
    check(0, "{\"id\":7,\"result\":{\"profile\":1}}", EXTRACT_MESSAGE, "");
    check(8, "{\"id\":7,\"result\":{\"profile\":1}}", EXTRACT_MESSAGE, "");
    check(7, "{\"method\":\"a.b\",\"params\":{\"id\":7,\"profile\":1}}", EXTRACT_MESSAGE, "");
    check(7, "{\"error\":{\"code\":-32000,\"message\":\"no\"},\"id\":7}", EXTRACT_MESSAGE, "");
    check(7, "{\"id\":7,\"result\":{}}", EXTRACT_MESSAGE, "");
    check(7, "{\"id\":7,\"result\":[\"profile\",1]}", EXTRACT_MESSAGE, "");
    check(7, "{\"id\":7,\"params\":{\"profile\":1}}", EXTRACT_MESSAGE, "");
    /* Behind the profile the id comes too late: nothing was copied. */
    check(7, "{\"result\":{\"profile\":1},\"id\":7}", EXTRACT_MESSAGE, "");
}

static void refuses_broken_messages(void **state)
{
    static const char *const bad[] = {
        "not json",
        "",
        "[]",
        "{\"id\":7",
        "{\"id\":7,\"result\":{\"profile\":{\"a\":1]}}",
        "{\"id\":7,\"result\":{\"profile\":{\"a\":[1,2]}}",
        "{\"id\":7,\"result\":{\"profile\":\"x}}",
        "{\"id\":7,\"result\":{\"profile\":1}}{}",
        "{\"id\":7,\"result\":{\"profile\":1,\"profile\":2}}",
        "{\"id\":7,\"id\":8,\"result\":{}}",
        "{\"id\":7,\"result\":{\"profile\":}}",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        check(7, bad[i], ERR_PROTOCOL, "");
}

static void knows_id_and_method(void **state)
{
    struct run run;
    run_init(&run, 0);
    const char *event =
        "{\"method\":\"NodeRuntime.waitingForDisconnect\",\"params\":{\"method\":\"x\"}}";
    assert_int_equal(feed(&run, event, strlen(event), true), EXTRACT_MESSAGE);
    assert_string_equal(run.x.method, "NodeRuntime.waitingForDisconnect");
    assert_int_equal(run.x.id, 0);
    const char *reply = "{\"id\":9007199254740993,\"result\":{\"id\":1}}";
    assert_int_equal(feed(&run, reply, strlen(reply), true), EXTRACT_MESSAGE);
    assert_string_equal(run.x.method, "");
    assert_true(run.x.id == 9007199254740993);
    static const char *const odd[] = {"{\"id\":-1}",        "{\"id\":1.5}",
                                      "{\"id\":1e3}",       "{\"id\":null}",
                                      "{\"id\":{\"a\":5}}", "{\"id\":99999999999999999999999}",
                                      "{\"id\":\"x\"}"};
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        assert_int_equal(feed(&run, odd[i], strlen(odd[i]), true), EXTRACT_MESSAGE);
        assert_int_equal(run.x.id, 0);
    }
    run_clear(&run);
}

/* `head`, then 'x' so often that `size` bytes are reached, then `tail`; in pieces of 64 KiB. */
static int feed_large(struct run *run, const char *head, size_t size, const char *tail)
{
    char *text = malloc(size);
    size_t head_len = strlen(head), tail_len = strlen(tail);
    memset(text, 'x', size);
    memcpy(text, head, head_len);
    memcpy(text + size - tail_len, tail, tail_len);
    int r = 0;
    for (size_t at = 0; at < size && r >= 0; at += 65536)
        r = extract_feed(&run->x, text + at, size - at < 65536 ? size - at : 65536,
                         size - at <= 65536);
    free(text);
    return r;
}

static void skips_large_messages_that_nobody_awaits(void **state)
{
    struct run run;
    run_init(&run, 7);
    assert_int_equal(
        feed_large(&run, "{\"method\":\"E.v\",\"params\":\"", LIMIT_INSPECTOR_MESSAGE, "\"}"),
        EXTRACT_MESSAGE);
    assert_int_equal(run.x.message.len, LIMIT_INSPECTOR_MESSAGE);
    assert_int_equal(
        feed_large(&run, "{\"method\":\"E.v\",\"params\":\"", LIMIT_INSPECTOR_MESSAGE + 1, "\"}"),
        EXTRACT_SKIPPED);
    assert_string_equal(run.x.method, "E.v");
    assert_int_equal(feed_large(&run, "{\"id\":6,\"result\":{\"profile\":\"", 300000, "\"}}"),
                     EXTRACT_SKIPPED);
    assert_int_equal(run.sunk.len, 0);
    assert_int_equal(feed_large(&run, "{\"id\":7,\"result\":{\"profile\":\"", 300000, "\"}}"),
                     EXTRACT_PROFILE);
    assert_int_equal(run.sunk.len, 300000 - strlen("{\"id\":7,\"result\":{\"profile\":}}"));
    assert_int_equal(run.x.size, 300000);
    assert_int_equal(run.x.message.len, 0);
    /* Large, awaited, and without a profile. */
    assert_int_equal(feed_large(&run, "{\"id\":7,\"result\":{\"other\":\"", 300000, "\"}}"),
                     ERR_PROTOCOL);
    run_clear(&run);
}

static void stops_with_what_the_sink_returned(void **state)
{
    struct run run;
    run_init(&run, 7);
    run.sink_result = -5;
    const char *text = "{\"id\":7,\"result\":{\"profile\":[1";
    assert_int_equal(feed(&run, text, strlen(text), false), -5);
    run_clear(&run);
}

static void takes_one_message_after_the_other(void **state)
{
    struct run run;
    run_init(&run, 2);
    const char *texts[] = {"{\"id\":1,\"result\":{}}", "{\"id\":2,\"result\":{\"profile\":[1]}}",
                           "{\"method\":\"a\"}"};
    int expected[] = {EXTRACT_MESSAGE, EXTRACT_PROFILE, EXTRACT_MESSAGE};
    for (int i = 0; i < 3; i++)
        assert_int_equal(feed(&run, texts[i], strlen(texts[i]), true), expected[i]);
    assert_string_equal(buf_str(&run.sunk), "[1]");
    run_clear(&run);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_the_profile_of_the_awaited_reply),
        cmocka_unit_test(is_not_fooled_by_strings),
        cmocka_unit_test(hands_over_small_messages_whole),
        cmocka_unit_test(refuses_broken_messages),
        cmocka_unit_test(knows_id_and_method),
        cmocka_unit_test(skips_large_messages_that_nobody_awaits),
        cmocka_unit_test(stops_with_what_the_sink_returned),
        cmocka_unit_test(takes_one_message_after_the_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
