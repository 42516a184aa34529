/* Any bytes as a line of an app's IPC channel: the kind is stable, only a JSON text has one but IPC_BAD, and what is kept
 * of it stays within the limits. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "supervisor/ipc_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_facts(const json_t *facts)
{
    const json_t *actions = json_object_get(facts, "actions");
    const json_t *metrics = json_object_get(facts, "metrics");
    assert(json_array_size(actions) <= LIMIT_IPC_ACTIONS);
    assert(json_object_size(metrics) <= LIMIT_IPC_METRICS);
    AUTOFREE char *text = json_dumps(facts, JSON_COMPACT);
    assert(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    /* A copy of its own, so that a look behind its end is found. */
    AUTOFREE char *line = malloc(size);
    if (size > 0)
        memcpy(line, data, size);
    enum ipc_kind kind = ipc_message_kind(line, size);
    json_error_t error;
    /* jansson takes a NUL byte for the end. */
    bool has_nul = size > 0 && memchr(line, '\0', size);
    AUTOJSON json_t *whole =
        has_nul ? NULL : json_loadb(line, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    assert(!whole || kind != IPC_BAD);
    AUTOJSON json_t *message = ipc_message_data(line, size, kind);
    AUTOJSON json_t *facts = json_object();
    if (message) {
        ipc_facts_monitor(facts, message);
        bool fresh = ipc_facts_action(facts, message);
        assert(!ipc_facts_action(facts, message) || !fresh);
        assert(!fresh || ipc_facts_has_action(facts, json_get_string(message, "action_name", "")));
    }
    check_facts(facts);
    return 0;
}
