/* The bytes up to a line feed as times of cron, the rest as the file of a time zone: refused with a
 * sentence, or times that come later and later. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "ecosystem/cron.h"
#include "ecosystem/zone.h"
#include "lib/base/auto.h"
#include "lib/base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data, *end = memchr(bytes, '\n', size);
    size_t len = end ? (size_t)(end - bytes) : size, rest = end ? size - len - 1 : 0;
    AUTOFREE char *text = xstrndup(bytes, len);
    char error[CRON_ERROR_TEXT] = "";
    struct cron c;
    AUTOZONE struct zone *z = NULL;
    bool has_zone = end && zone_parse(end + 1, rest, &z) == 0;
    if (!has_zone)
        assert(zone_load("UTC", &z) == 0);
    if (cron_parse(text, &c, error) < 0) {
        assert(error[0]);
        return 0;
    }
    int64_t at = 1795176000;
    for (int i = 0; i < 20; i++) {
        int64_t next;
        if (!cron_next(&c, z, at, &next))
            break;
        assert(next > at);
        at = next;
    }
    return 0;
}
