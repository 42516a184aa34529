/* Questions for logs: who waits, and what answers them. */
#include "remote/logs.h"

#include "tests/unit/remote_console.h"

#include "lib/base/limits.h"

static struct logs *logs;
static char sentence[600];

/* What was sent to the agent last. */
static json_t *sent;
static unsigned sent_count;
static bool takes_logs;

static bool send_it(void *arg, const char *host, const char *type, json_t *fields)
{
    assert_string_equal(type, "log.get");
    if (!takes_logs)
        return false;
    json_decref(sent);
    sent = json_deep_copy(fields);
    sent_count++;
    return true;
}

static struct {
    int count, r;
    char text[600];
    json_t *answer;
} got;

static void on_log(void *arg, int r, const char *text, const json_t *answer)
{
    got.count++;
    got.r = r;
    (void)snprintf(got.text, sizeof got.text, "%s", text ? text : "");
    json_decref(got.answer);
    got.answer = answer ? json_deep_copy(answer) : NULL;
}

static int set_up(void **state)
{
    int r = make_console(state);
    logs = logs_new(&loop, fleet);
    logs_on_send(logs, send_it, NULL);
    takes_logs = true;
    sent_count = 0;
    got.count = 0;
    connect_host(HOST_1, true);
    return r;
}

static int tear_down(void **state)
{
    logs_close(logs);
    close_console();
    logs_free(logs);
    json_decref(sent);
    json_decref(got.answer);
    sent = got.answer = NULL;
    assert_int_equal(uv_loop_close(&loop), 0);
    return remove_folder(state);
}

static int ask(const char *host)
{
    const struct log_order order = {
        .host = host, .app = "web", .instance = 2, .stream = "err", .lines = 30};
    sentence[0] = '\0';
    return logs_get(logs, &order, on_log, NULL, sentence, sizeof sentence);
}

static json_t *an_answer(void)
{
    return json_pack("{s:O,s:s,s:i,s:b,s:s}", "id", json_object_get(sent, "id"), "text", "said\n",
                     "at_ms", 5, "cut", 1, "more", "foreign");
}

static void a_question_is_answered(void **state)
{
    assert_int_equal(ask(HOST_1), 0);
    assert_true(uuid_valid_v7(json_get_string(sent, "id", "")));
    assert_string_equal(json_get_string(sent, "app", ""), "web");
    assert_int_equal(json_get_int(sent, "instance", -1), 2);
    assert_string_equal(json_get_string(sent, "stream", ""), "err");
    assert_int_equal(json_get_int(sent, "lines", -1), 30);
    AUTOJSON json_t *answer = an_answer();
    assert_int_equal(got.count, 0);
    logs_take(logs, HOST_1, answer);
    assert_int_equal(got.count, 1);
    assert_int_equal(got.r, 0);
    assert_string_equal(json_get_string(got.answer, "text", ""), "said\n");
    assert_true(json_get_bool(got.answer, "cut", false));
    assert_int_equal(json_object_size(got.answer), 3);
    /* Once. */
    logs_take(logs, HOST_1, answer);
    assert_int_equal(got.count, 1);
}

static void an_answer_of_another_host_is_none(void **state)
{
    assert_int_equal(ask(HOST_1), 0);
    AUTOJSON json_t *answer = an_answer();
    logs_take(logs, HOST_2, answer);
    logs_take_refused(logs, HOST_2, answer);
    assert_int_equal(got.count, 0);
    logs_take(logs, HOST_1, answer);
    assert_int_equal(got.count, 1);
}

static void a_refusal_is_a_sentence_with_an_error_of_its_own_kind(void **state)
{
    static const struct {
        const char *code;
        int r;
    } rows[] = {{"POLICY", ERR_POLICY},     {"NOT_FOUND", ERR_NOT_FOUND}, {"BUSY", ERR_BUSY},
                {"LOGIN", ERR_UNREACHABLE}, {"EACCES", ERR_UNREACHABLE},  {"", ERR_UNREACHABLE}};
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        assert_int_equal(ask(HOST_1), 0);
        AUTOJSON json_t *no = json_pack("{s:O,s:s,s:s}", "id", json_object_get(sent, "id"), "code",
                                        rows[i].code, "text", "no\x1b");
        logs_take_refused(logs, HOST_1, no);
        assert_int_equal(got.r, rows[i].r);
        assert_string_equal(got.text, "host web-1: no?");
    }
}

static void a_host_that_cannot_be_asked_is_told_at_once(void **state)
{
    assert_int_equal(ask(HOST_2), ERR_UNREACHABLE);
    assert_string_equal(sentence, "the host two is not connected");
    takes_logs = false;
    assert_int_equal(ask(HOST_1), ERR_UNSUPPORTED);
    logs_on_send(logs, NULL, NULL);
    assert_int_equal(ask(HOST_1), ERR_UNSUPPORTED);
    assert_int_equal(got.count, 0);
}

static void twenty_wait_for_a_host(void **state)
{
    connect_host(HOST_2, true);
    for (unsigned i = 0; i < LIMIT_LOG_WAITING; i++)
        assert_int_equal(ask(HOST_1), 0);
    assert_int_equal(ask(HOST_1), ERR_BUSY);
    assert_int_equal(ask(HOST_2), 0);
    assert_int_equal(sent_count, LIMIT_LOG_WAITING + 1);
}

static void who_waits_hears_that_the_host_has_left(void **state)
{
    assert_int_equal(ask(HOST_1), 0);
    connect_host(HOST_1, false);
    while (got.count == 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(got.r, ERR_UNREACHABLE);
    assert_string_equal(got.text, "the host web-1 has left before it answered");
}

static void who_waits_hears_that_it_does_not_answer(void **state)
{
    assert_int_equal(ask(HOST_1), 0);
    while (got.count == 0)
        (void)uv_run(&loop, UV_RUN_ONCE);
    assert_int_equal(got.r, -ETIMEDOUT);
    assert_string_equal(got.text, "the host web-1 has not answered within 5 s");
}

static void who_waits_hears_of_the_end(void **state)
{
    assert_int_equal(ask(HOST_1), 0);
    assert_int_equal(ask(HOST_1), 0);
    logs_close(logs);
    assert_int_equal(got.count, 2);
    assert_int_equal(got.r, ERR_STOPPING);
    assert_int_equal(ask(HOST_1), ERR_STOPPING);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_question_is_answered),
        TEST(an_answer_of_another_host_is_none),
        TEST(a_refusal_is_a_sentence_with_an_error_of_its_own_kind),
        TEST(a_host_that_cannot_be_asked_is_told_at_once),
        TEST(twenty_wait_for_a_host),
        TEST(who_waits_hears_that_the_host_has_left),
        TEST(who_waits_hears_that_it_does_not_answer),
        TEST(who_waits_hears_of_the_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
