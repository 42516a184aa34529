#include "lib/wire/msg.h"

#include "tests/unit/support.h"

#include <fcntl.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/str.h"

static int parse(const char *line, struct msg *ret_msg)
{
    return msg_parse(line, strlen(line), ret_msg);
}

/* Writes with `add`, reads it back and checks that it was one line. */
static void read_back(struct buf *out, struct msg *ret_msg)
{
    assert_int_equal(out->data[out->len - 1], '\n');
    assert_ptr_equal(memchr(out->data, '\n', out->len), out->data + out->len - 1);
    assert_int_equal(msg_parse(out->data, out->len - 1, ret_msg), 0);
}

static void requests_round_trip(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(1000);
    AUTOMSG struct msg m = {0};
    AUTOJSON json_t *params = json_pack("{s:s}", "text", "a\nb\"c\\");
    assert_int_equal(msg_add_request(&out, "7", "app.list", params, 2), 0);
    read_back(&out, &m);
    assert_int_equal(m.kind, MSG_REQUEST);
    assert_string_equal(m.id, "7");
    assert_string_equal(m.method, "app.list");
    assert_string_equal(json_get_string(m.params, "text", ""), "a\nb\"c\\");
    assert_int_equal(m.fds_wanted, 2);
    assert_int_equal(m.fd_count, 0);
}

static void notifications_have_no_id_and_params_all_the_same(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(1000);
    AUTOMSG struct msg m = {0};
    assert_int_equal(msg_add_notification(&out, "stop", NULL), 0);
    read_back(&out, &m);
    assert_int_equal(m.kind, MSG_NOTIFICATION);
    assert_null(m.id);
    assert_true(json_is_object(m.params));
    assert_int_equal(m.fds_wanted, 0);
    msg_clear(&m);
    assert_int_equal(parse("{\"jsonrpc\":\"2.0\",\"method\":\"x\"}", &m), 0);
    assert_true(json_is_object(m.params));
}

static void results_round_trip(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(1000);
    AUTOMSG struct msg m = {0};
    AUTOJSON json_t *result = json_pack("[i]", 1);
    assert_int_equal(msg_add_result(&out, "7", result, 1), 0);
    read_back(&out, &m);
    assert_int_equal(m.kind, MSG_RESULT);
    assert_string_equal(m.id, "7");
    assert_true(json_equal(m.result, result));
    assert_int_equal(m.fds_wanted, 1);
    msg_clear(&m);
    buf_reset(&out);
    assert_int_equal(msg_add_result(&out, "8", NULL, 0), 0);
    read_back(&out, &m);
    assert_true(json_is_object(m.result));
    msg_clear(&m);
    assert_int_equal(parse("{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"result\":null}", &m), 0);
    assert_true(json_is_null(m.result));
}

static void errors_carry_code_sentence_and_data(void **state)
{
    AUTOBUF struct buf out = BUF_INIT(1000);
    AUTOMSG struct msg m = {0};
    AUTOJSON json_t *data = json_pack("{s:i}", "pid", 5);
    assert_int_equal(msg_add_error(&out, "7", ERR_NO_LISTEN, "it did not open", data), 0);
    assert_null(json_object_get(data, "name")); /* borrowed, not changed */
    read_back(&out, &m);
    assert_int_equal(m.kind, MSG_ERROR);
    assert_int_equal(m.error, ERR_NO_LISTEN);
    assert_string_equal(m.error_text, "it did not open");
    assert_int_equal(json_get_int(m.error_data, "pid", 0), 5);
    msg_clear(&m);
    buf_reset(&out);
    assert_int_equal(msg_add_error(&out, "7", -ENOSPC, NULL, NULL), 0);
    read_back(&out, &m);
    assert_int_equal(m.error, -ENOSPC);
    assert_string_equal(m.error_text, err_str(-ENOSPC));
}

static void an_error_without_a_name_is_a_failure(void **state)
{
    AUTOMSG struct msg m = {0};
    assert_int_equal(parse("{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"error\":{\"code\":-32601}}", &m),
                     0);
    assert_int_equal(m.error, ERR_FAILED);
    assert_string_equal(m.error_text, "");
    assert_null(m.error_data);
    msg_clear(&m);
    /* The number in "code" means nothing to us, least of all success. */
    assert_int_equal(
        parse(
            "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"error\":{\"code\":0,\"data\":{\"name\":\"OK\"}}}",
            &m),
        0);
    assert_true(m.error < 0);
}

static void refuses_what_is_no_message(void **state)
{
    static const char *const syntax[] = {
        "", "x", "[]", "{", "{}{}", "\"x\"", "{\"jsonrpc\":\"2.0\",\"jsonrpc\":\"2.0\"}"};
    static const char *const protocol[] = {
        "{}",
        "{\"jsonrpc\":\"1.0\",\"method\":\"x\"}",
        "{\"jsonrpc\":2.0,\"method\":\"x\"}",
        "{\"method\":\"x\"}",
        "{\"jsonrpc\":\"2.0\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"x\"}",
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"method\":\"x\"}",
        "{\"jsonrpc\":\"2.0\",\"method\":7}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":[]}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"params\":null}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"fds\":-1}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"fds\":5}",
        "{\"jsonrpc\":\"2.0\",\"method\":\"x\",\"fds\":9223372036854775807}",
        "{\"jsonrpc\":\"2.0\",\"result\":{}}",
        "{\"jsonrpc\":\"2.0\",\"id\":\"1\"}",
        "{\"jsonrpc\":\"2.0\",\"error\":{}}",
        "{\"jsonrpc\":\"2.0\",\"id\":\"1\",\"error\":\"x\"}",
    };
    struct msg m = {.error = 77};
    for (size_t i = 0; i < ARRAY_SIZE(syntax); i++)
        assert_int_equal(parse(syntax[i], &m), ERR_SYNTAX);
    for (size_t i = 0; i < ARRAY_SIZE(protocol); i++)
        assert_int_equal(parse(protocol[i], &m), ERR_PROTOCOL);
    assert_int_equal(m.error, 77);
}

static void descriptors_are_taken_in_order_and_the_rest_is_closed(void **state)
{
    struct msg m = {.fd_count = 3, .fds = {dup(2), dup(2), dup(2)}};
    int first = m.fds[0], second = m.fds[1], third = m.fds[2];
    assert_int_equal(msg_take_fd(&m), first);
    assert_int_equal(m.fds[0], second);
    msg_clear(&m);
    assert_int_equal(msg_take_fd(&m), -1);
    assert_int_equal(fcntl(second, F_GETFD), -1);
    assert_int_equal(fcntl(third, F_GETFD), -1);
    assert_int_equal(close(first), 0);
    msg_clear(&m);
}

static void a_message_past_the_limit_leaves_the_buffer_as_it_was(void **state)
{
    AUTOBUF struct buf whole = BUF_INIT(1000);
    AUTOJSON json_t *params = json_pack("{s:s}", "key", "value");
    assert_int_equal(msg_add_request(&whole, "1", "method", params, 0), 0);
    for (size_t limit = 3; limit < 3 + whole.len; limit++) {
        AUTOBUF struct buf out = BUF_INIT(limit);
        assert_int_equal(buf_addstr(&out, "old"), 0);
        assert_int_equal(msg_add_request(&out, "1", "method", params, 0), ERR_TOO_BIG);
        assert_string_equal(buf_str(&out), "old");
    }
    AUTOBUF struct buf out = BUF_INIT(whole.len);
    assert_int_equal(msg_add_request(&out, "1", "method", params, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_round_trip),
        cmocka_unit_test(notifications_have_no_id_and_params_all_the_same),
        cmocka_unit_test(results_round_trip),
        cmocka_unit_test(errors_carry_code_sentence_and_data),
        cmocka_unit_test(an_error_without_a_name_is_a_failure),
        cmocka_unit_test(refuses_what_is_no_message),
        cmocka_unit_test(descriptors_are_taken_in_order_and_the_rest_is_closed),
        cmocka_unit_test(a_message_past_the_limit_leaves_the_buffer_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
