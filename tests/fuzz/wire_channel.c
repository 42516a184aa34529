/* A text frame of the channel, read as from either side in either phase. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/wire/channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1)
        return 0;
    enum channel_from from = data[0] & 1 ? CHANNEL_AGENT : CHANNEL_CONSOLE;
    enum channel_phase phase = data[0] & 2 ? CHANNEL_HELLO : CHANNEL_OPEN;
    const struct channel_type *type = NULL;
    json_t *message = NULL;
    char text[200] = "";
    char *copy = malloc(size);
    memcpy(copy, data + 1, size - 1);
    int r = channel_parse(copy, size - 1, from, phase, &type, &message, text, sizeof text);
    free(copy);
    require((r == 0) == (message != NULL) && (r == 0 || text[0]));
    if (r < 0)
        return 0;
    require((type->from & from) && (type->phases & phase));
    AUTOBUF struct buf out = BUF_INIT(LIMIT_CHANNEL_MESSAGE);
    (void)channel_add(&out, type->name, message);
    json_decref(message);
    return 0;
}
