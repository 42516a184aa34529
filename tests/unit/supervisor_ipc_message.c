#include "supervisor/ipc_message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"

static void assert_kind(const char *line, enum ipc_kind kind)
{
    if (ipc_message_kind(line, strlen(line)) != kind)
        fail_msg("%s is %d, not %d", line, ipc_message_kind(line, strlen(line)), kind);
}

static void tells_the_kinds_apart(void **state)
{
    assert_kind("\"ready\"", IPC_READY);
    assert_kind("\"re\\u0061dy\"", IPC_READY);
    assert_kind("{\"type\":\"axm:monitor\",\"data\":{}}", IPC_MONITOR);
    assert_kind("{\"data\":{\"action_name\":\"x\"},\"type\":\"axm:action\"}", IPC_ACTION);
    assert_kind("{\"type\":\"axm:reply\",\"data\":{}}", IPC_REPLY);
    assert_kind("{\"cmd\":\"NODE_HANDLE\",\"type\":\"net.Socket\"}", IPC_HANDLE);
    assert_kind("{\"cmd\":\"NODE_CLUSTER\",\"act\":\"online\"}", IPC_NODE);
    assert_kind("{\"cmd\":\"NODE_HANDLE_ACK\"}", IPC_NODE);
}

static void what_is_the_apps_own_is_other(void **state)
{
    static const char *const lines[] = {
        "\"steady\"",
        "\"\"",
        "7",
        "null",
        "[\"ready\"]",
        "{}",
        "{\"type\":7,\"data\":{}}",
        "{\"type\":\"process:msg\",\"data\":{\"type\":\"axm:reply\"}}",
        "{\"data\":{\"cmd\":\"NODE_HANDLE\"}}",
        "{\"cmd\":\"node_handle\"}",
        "[{\"type\":\"axm:reply\"}]",
        "{\"type\":\"axm:"
        "replyreplyreplyreplyreplyreplyreplyreplyreplyreplyreplyreplyreplyreplyreplyreply\"}",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_kind(lines[i], IPC_OTHER);
}

static void what_is_no_json_is_bad(void **state)
{
    static const char *const lines[] = {"",
                                        "ready",
                                        "{",
                                        "{\"type\":\"axm:reply\"",
                                        "{\"type\":\"axm:reply\"}x",
                                        "\"ready\" 1",
                                        "{\"type\":}",
                                        "\x80"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        assert_kind(lines[i], IPC_BAD);
}

static void one_that_is_nested_too_deep_is_other(void **state)
{
    char line[1000];
    memset(line, '[', 300);
    memset(line + 300, ']', 300);
    line[600] = '\0';
    assert_kind(line, IPC_OTHER);
}

static json_t *data_of(const char *line)
{
    return ipc_message_data(line, strlen(line), ipc_message_kind(line, strlen(line)));
}

static void keeps_the_last_metrics(void **state)
{
    AUTOJSON json_t *facts = json_object();
    AUTOJSON json_t *first = data_of(
        "{\"type\":\"axm:monitor\",\"data\":{\"Heap\":{\"value\":\"5.73\",\"unit\":\"MiB\","
        "\"historic\":true},"
        "\"HTTP\":{\"value\":1.5},\"odd\":{\"value\":{\"a\":1}},\"flat\":7,\"\":{\"value\":1}}}");
    AUTOJSON json_t *second =
        data_of("{\"type\":\"axm:monitor\",\"data\":{\"HTTP\":{\"value\":2}}}");
    ipc_facts_monitor(facts, first);
    ipc_facts_monitor(facts, second);
    AUTOFREE char *text = json_dumps(facts, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal(
        text,
        "{\"metrics\":{\"HTTP\":{\"value\":2},\"Heap\":{\"unit\":\"MiB\",\"value\":\"5.73\"}}}");
}

static void metrics_and_actions_have_a_limit(void **state)
{
    AUTOJSON json_t *facts = json_object();
    for (int i = 0; i < 300; i++) {
        char line[200];
        (void)snprintf(line, sizeof line,
                       "{\"type\":\"axm:monitor\",\"data\":{\"m%d\":{\"value\":%d}}}", i, i);
        AUTOJSON json_t *metric = data_of(line);
        ipc_facts_monitor(facts, metric);
        (void)snprintf(line, sizeof line,
                       "{\"type\":\"axm:action\",\"data\":{\"action_name\":\"a%d\"}}", i);
        AUTOJSON json_t *action = data_of(line);
        assert_int_equal(ipc_facts_action(facts, action), i < (int)LIMIT_IPC_ACTIONS);
    }
    assert_int_equal(json_object_size(json_object_get(facts, "metrics")), LIMIT_IPC_METRICS);
    assert_int_equal(json_array_size(json_object_get(facts, "actions")), LIMIT_IPC_ACTIONS);
    assert_true(ipc_facts_has_action(facts, "a99"));
    assert_false(ipc_facts_has_action(facts, "a100"));
}

static void an_action_is_new_once(void **state)
{
    AUTOJSON json_t *facts = json_object();
    AUTOJSON json_t *data =
        data_of("{\"type\":\"axm:action\",\"data\":{\"action_name\":\"drain\"}}");
    AUTOJSON json_t *nameless = data_of("{\"type\":\"axm:action\",\"data\":{\"arity\":2}}");
    assert_true(ipc_facts_action(facts, data));
    assert_false(ipc_facts_action(facts, data));
    assert_false(ipc_facts_action(facts, nameless));
    assert_true(ipc_facts_has_action(facts, "drain"));
}

static void data_must_be_an_object_and_not_large(void **state)
{
    assert_null(data_of("{\"type\":\"axm:monitor\"}"));
    assert_null(data_of("{\"type\":\"axm:monitor\",\"data\":[1]}"));
    size_t size = LIMIT_IPC_FACTS + 100;
    AUTOFREE char *line = calloc(1, size + 1);
    int head = snprintf(line, size, "{\"type\":\"axm:monitor\",\"data\":{\"x\":{\"value\":\"");
    memset(line + head, 'x', size - (size_t)head - 4);
    memcpy(line + size - 4, "\"}}}", 4);
    assert_kind(line, IPC_MONITOR);
    assert_null(data_of(line));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tells_the_kinds_apart),
        cmocka_unit_test(what_is_the_apps_own_is_other),
        cmocka_unit_test(what_is_no_json_is_bad),
        cmocka_unit_test(one_that_is_nested_too_deep_is_other),
        cmocka_unit_test(keeps_the_last_metrics),
        cmocka_unit_test(metrics_and_actions_have_a_limit),
        cmocka_unit_test(an_action_is_new_once),
        cmocka_unit_test(data_must_be_an_object_and_not_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
