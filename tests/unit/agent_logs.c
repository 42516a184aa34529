/* Questions for logs between a console, played by the test, and a supervisor at the other end of a socketpair. */
#include "agent/logs.h"

#include "tests/unit/support.h"

#include <sys/socket.h>
#include <uv.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "lib/wire/channel.h"
#include "lib/wire/conn.h"
#include "lib/wire/method.h"
#include "lib/wire/msg.h"

#define ID "01890a5d-0000-7000-8000-000000000001"

enum { LOGS_MAX = 64 };

static uv_loop_t loop;
static struct conn ours, supervisor;
static struct logs logs;
static char *asked[LOGS_MAX]; /* ids of requests */
static unsigned asked_count, answered, told_count;
static json_t *params, *told;
static char told_type[32];

/* As the uplink: what does not fit into a message is refused. */
static int send_it(void *arg, const char *type, json_t *fields)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_CHANNEL_MESSAGE);
    int r = channel_add(&text, type, fields);
    if (r < 0)
        return r;
    const struct channel_type *row;
    json_t *parsed = NULL;
    char why[256];
    if (channel_parse(buf_str(&text), text.len, CHANNEL_AGENT, CHANNEL_OPEN, &row, &parsed, why,
                      sizeof why) < 0)
        fail_msg("%s", why);
    json_decref(told);
    told = parsed;
    told_count++;
    (void)snprintf(told_type, sizeof told_type, "%s", type);
    return 0;
}

static void on_answer(struct conn *c, struct msg *m)
{
    assert_true(logs_on_answer(&logs, m));
    answered++;
}

static void on_request(struct conn *c, struct msg *m)
{
    char why[256];
    assert_string_equal(m->method, "log.tail");
    const struct wire_method *row = wire_method_find(m->method, WIRE_AGENT_TO_SUPERVISOR);
    assert_int_equal(wire_method_check(row, m->params, why, sizeof why), 0);
    json_decref(params);
    params = json_deep_copy(m->params);
    asked[asked_count++] = xstrdup(m->id);
}

static void on_closed(struct conn *c, int reason)
{
}

static int set_up(void **state)
{
    int pair[2];
    if (uv_loop_init(&loop) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        return -1;
    asked_count = answered = told_count = 0;
    assert_int_equal(conn_open(&ours, &loop, pair[0], on_answer, on_closed, NULL), 0);
    assert_int_equal(conn_open(&supervisor, &loop, pair[1], on_request, on_closed, NULL), 0);
    logs_init(&logs, &ours, send_it, NULL);
    logs_open(&logs);
    return 0;
}

static int tear_down(void **state)
{
    logs_clear(&logs);
    conn_close(&ours);
    conn_close(&supervisor);
    for (unsigned i = 0; i < asked_count; i++)
        free(asked[i]);
    json_decref(TAKE(params));
    json_decref(TAKE(told));
    return loop_end(&loop);
}

static void get(const char *id)
{
    AUTOJSON json_t *message =
        json_pack("{s:s,s:s,s:s,s:i,s:s,s:i,s:s}", "type", "log.get", "id", id, "app", "web",
                  "instance", 3, "stream", "err", "lines", 50, "path", "/etc/passwd");
    logs_get(&logs, message);
}

static void wait_asked(unsigned count)
{
    while (asked_count < count)
        (void)uv_run(&loop, UV_RUN_ONCE);
}

static void wait_answered(unsigned count)
{
    while (answered < count)
        (void)uv_run(&loop, UV_RUN_ONCE);
}

static void answer(const char *text, bool cut)
{
    AUTOJSON json_t *result = json_pack("{s:s,s:i,s:b}", "text", text, "at_ms", 5, "cut", (int)cut);
    (void)conn_result(&supervisor, asked[asked_count - 1], result, -1);
    wait_answered(asked_count);
}

static void a_question_goes_on_and_the_answer_comes_back(void **state)
{
    get(ID);
    wait_asked(1);
    assert_int_equal(json_object_size(params), 4);
    assert_string_equal(json_get_string(params, "app", ""), "web");
    assert_int_equal(json_get_int(params, "instance", 0), 3);
    assert_string_equal(json_get_string(params, "stream", ""), "err");
    assert_int_equal(json_get_int(params, "lines", 0), 50);
    answer("said \xc3\xa9\n", true);
    assert_string_equal(told_type, "log");
    assert_string_equal(json_get_string(told, "id", ""), ID);
    assert_string_equal(json_get_string(told, "text", ""), "said \xc3\xa9\n");
    assert_int_equal(json_get_int(told, "at_ms", 0), 5);
    assert_true(json_get_bool(told, "cut", false));
}

static void a_refusal_comes_back(void **state)
{
    get(ID);
    wait_asked(1);
    (void)conn_error(&supervisor, asked[0], ERR_POLICY, "no", NULL);
    wait_answered(1);
    assert_string_equal(told_type, "log.refused");
    assert_string_equal(json_get_string(told, "id", ""), ID);
    assert_string_equal(json_get_string(told, "code", ""), "POLICY");
    assert_string_equal(json_get_string(told, "text", ""), "no");
}

static void what_does_not_fit_into_a_message_is_told_without_its_beginning(void **state)
{
    AUTOFREE char *text = xcalloc(1, LIMIT_LOG_TEXT + 1);
    memset(text, 0x1b, LIMIT_LOG_TEXT);
    for (size_t i = 99; i < LIMIT_LOG_TEXT; i += 100)
        text[i] = '\n';
    get(ID);
    wait_asked(1);
    answer(text, false);
    const char *got = json_get_string(told, "text", "");
    assert_true(strlen(got) > LIMIT_LOG_TEXT / 4);
    assert_true(json_get_bool(told, "cut", false));
    /* The end of it, from the begin of a line. */
    assert_string_equal(got, text + LIMIT_LOG_TEXT - strlen(got));
    assert_int_equal((LIMIT_LOG_TEXT - strlen(got)) % 100, 0);
    /* Without any line. */
    memset(text, 0x1b, LIMIT_LOG_TEXT);
    get(ID);
    wait_asked(2);
    answer(text, false);
    assert_true(strlen(json_get_string(told, "text", "")) >= LIMIT_LOG_TEXT / 4);
}

static void more_than_twenty_do_not_wait(void **state)
{
    for (unsigned i = 0; i < LIMIT_LOG_WAITING; i++) {
        char id[] = ID;
        (void)snprintf(id + strlen(id) - 2, 3, "%02u", i + 10);
        get(id);
    }
    assert_int_equal(told_count, 0);
    get(ID);
    assert_string_equal(json_get_string(told, "code", ""), "BUSY");
    wait_asked(LIMIT_LOG_WAITING);
    for (unsigned i = 0; i < LIMIT_LOG_WAITING; i++)
        (void)conn_error(&supervisor, asked[i], ERR_POLICY, "no", NULL);
    wait_answered(LIMIT_LOG_WAITING);
    get(ID);
    wait_asked(LIMIT_LOG_WAITING + 1);
    answer("said", false);
    assert_string_equal(told_type, "log");
}

static void nothing_is_told_to_a_channel_that_is_closed(void **state)
{
    get(ID);
    wait_asked(1);
    logs_close(&logs);
    answer("said", false);
    assert_int_equal(told_count, 0);
    assert_int_equal(json_object_size(logs.asked), 0);
}

static void another_supervisor_is_asked_again_and_one_answer_counts(void **state)
{
    get(ID);
    wait_asked(1);
    logs_ask_again(&logs);
    wait_asked(2);
    assert_string_equal(asked[1], asked[0]);
    assert_string_equal(json_get_string(params, "app", ""), "web");
    (void)conn_error(&supervisor, asked[0], ERR_POLICY, "no", NULL);
    answer("said", false);
    assert_int_equal(told_count, 1);
    assert_string_equal(told_type, "log.refused");
    logs_ask_again(&logs);
    get("01890a5d-0000-7000-8000-000000000002");
    wait_asked(3);
}

static void answers_to_others_are_left_to_them(void **state)
{
    const struct msg m = {.kind = MSG_RESULT, .id = (char *)(uintptr_t)ID ":start"};
    assert_false(logs_on_answer(&logs, &m));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_question_goes_on_and_the_answer_comes_back),
        TEST(a_refusal_comes_back),
        TEST(what_does_not_fit_into_a_message_is_told_without_its_beginning),
        TEST(more_than_twenty_do_not_wait),
        TEST(nothing_is_told_to_a_channel_that_is_closed),
        TEST(another_supervisor_is_asked_again_and_one_answer_counts),
        TEST(answers_to_others_are_left_to_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
