/* Any bytes as a request for metrics: a status that has a reason, and the same one however they come in. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/limits.h"
#include "supervisor/http_request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;
    bool head_only = false;
    int whole = http_request_status(bytes, size, &head_only);
    assert(whole == 0 || strcmp(http_request_reason(whole), "Error") != 0);
    assert(whole != 0 || size < LIMIT_METRICS_HEAD);
    /* The first status that a growing head gets is the answer; before it nothing is said. */
    for (size_t len = 0; len < size && len < 512; len++) {
        int early = http_request_status(bytes, len, &head_only);
        if (early == 0)
            continue;
        assert(early == whole || len >= LIMIT_METRICS_HEAD);
        break;
    }
    return 0;
}
