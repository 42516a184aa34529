/* Any body as an order for captures: refused with a sentence that names a field, or within all limits. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/uuid.h"
#include "remote/api_fields.h"
#include "remote/api_order.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_target(const struct capture_target *t)
{
    assert(uuid_valid(t->host));
    assert(t->app[0] && strlen(t->app) <= LIMIT_NAME);
    assert(t->instance >= 0 && t->instance <= LIMIT_INSTANCES);
    assert(t->pid >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char text[FIELD_SENTENCE] = "";
    struct capture_order order;
    AUTOJSON json_t *j = json_object_parse((const char *)data, size);
    if (!j)
        return 0;
    if (order_parse(j, &order, text, sizeof text) < 0) {
        assert(text[0] == '"' && strlen(text) < sizeof text - 1);
        return 0;
    }
    assert(uuid_valid_v7(order.id) && field_word_valid(order.kind));
    assert(order.target_count >= 1 && order.target_count <= LIMIT_CAPTURE_TARGETS);
    assert(order.duration_ms >= 0 && order.duration_ms <= LIMIT_CAPTURE_LONGEST_MS);
    assert(order.wait_ms >= 0 && order.wait_ms <= LIMIT_COMMAND_WAIT_MS);
    for (size_t i = 0; i < order.target_count; i++)
        check_target(&order.targets[i]);
    order_clear(&order);
    return 0;
}
