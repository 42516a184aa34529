#include "agent/inspector/kind.h"

#include <stddef.h>

#include "agent/inspector/capture.h"
#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "lib/wire/method.h"

enum {
    /* Node 12 and below count idle time as (program). */
    LAST_WITHOUT_IDLE_MAJOR = 12,
    /* From here on V8 knows the flags that say what happens to objects that were collected. */
    COLLECTED_FLAGS_MAJOR = 20,
};

static json_t *cpu_interval_params(const struct capture_order *order)
{
    json_t *params = json_object();
    json_set_int(params, "interval",
                 order->interval_us > 0 ? order->interval_us : WIRE_DEFAULT_INTERVAL_US);
    return params;
}

static json_t *no_params(const struct capture_order *order)
{
    return NULL;
}

/* Only what is still alive at the end is counted; older versions cannot do anything else. */
static json_t *heap_start_params(const struct capture_order *order)
{
    json_t *params = json_object();
    json_set_int(params, "samplingInterval",
                 order->interval_bytes > 0 ? order->interval_bytes : WIRE_DEFAULT_INTERVAL_BYTES);
    if (order->node_major >= COLLECTED_FLAGS_MAJOR) {
        json_set_bool(params, "includeObjectsCollectedByMajorGC", false);
        json_set_bool(params, "includeObjectsCollectedByMinorGC", false);
    }
    return params;
}

static const struct kind kinds[] = {
    {
        .name = "cpu",
        .enable = "Profiler.enable",
        .set_interval = "Profiler.setSamplingInterval",
        .start = "Profiler.start",
        .stop = "Profiler.stop",
        .disable = "Profiler.disable",
        .wants_idle = true,
        .interval_params = cpu_interval_params,
        .start_params = no_params,
    },
    {
        .name = "heap",
        .enable = "HeapProfiler.enable",
        .start = "HeapProfiler.startSampling",
        .stop = "HeapProfiler.stopSampling",
        .disable = "HeapProfiler.disable",
        .busy_text = "V8 sampling heap profiler was not started",
        .interval_params = no_params,
        .start_params = heap_start_params,
    },
    /* Only closes a port that an earlier probe had to leave behind. */
    {.name = "close"},
};

const struct kind *kind_find(const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
        if (str_eq(kinds[i].name, name))
            return &kinds[i];
    return NULL;
}

bool kind_needs_idle_notifier(const struct kind *k, int node_major)
{
    return k->wants_idle && node_major <= LAST_WITHOUT_IDLE_MAJOR;
}
