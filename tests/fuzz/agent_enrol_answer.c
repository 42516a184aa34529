/* What a console answers to an enrolment: with a sentence, or taken as a whole. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "agent/enrol_answer.h"
#include "lib/base/mem.h"
#include "lib/secure/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char why[IDENTITY_TEXT] = "";
    const struct enrol_token token = {.address = "console:1", .host = "console", .port = 1};
    AUTOIDENTITY struct identity id = {.key_pem = xstrdup("key")};
    int r = enrol_answer_read((const char *)data, size, &token, 1, &id, why, sizeof why);
    /* No key belongs to it. */
    assert(r < 0 && strstr(why, "console:1"));
    r = enrol_answer_refusal(400 + (long)(size % 200), (const char *)data, size, &token, why,
                             sizeof why);
    assert(r < 0 && strstr(why, "console:1"));
    return 0;
}
