/* Any bytes as a file of variables: refused with a sentence, or entries that an environment can hold. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/env_file.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTOSTRLIST struct strlist env = {0};
    struct config_error error;
    if (env_file_parse((const char *)data, size, &env, &error) < 0) {
        assert(error.text[0]);
        return 0;
    }
    assert(env.count <= LIMIT_LIST);
    for (size_t i = 0; i < env.count; i++) {
        const char *equals = strchr(env.items[i], '=');
        assert(equals && equals > env.items[i] && strlen(env.items[i]) < LIMIT_STRING);
    }
    return 0;
}
