/* Heads of requests, cut anywhere. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "remote/http_head.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data, *why = NULL;
    size_t seen = 0, len = 0;
    /* In pieces the end is where it is in the whole. */
    for (size_t cut = 0; cut <= size && len == 0; cut += 1 + cut / 4) {
        len = http_head_length(bytes, cut, seen);
        seen = cut;
    }
    size_t at_once = http_head_length(bytes, size, 0);
    assert(len == 0 || len == at_once);
    len = at_once ? at_once : size;
    char *text = calloc(1, len + 1);
    memcpy(text, bytes, len);
    struct http_head head;
    int r = http_head_parse(text, len, &head, &why);
    assert(r == 0 || ((r == 400 || r == 431 || r == 505) && why));
    if (r == 0) {
        assert(head.path[0] == '/' && strlen(head.path) + strlen(head.query) < len);
        for (int f = 0; f < HTTP_FIELD_COUNT; f++)
            assert(!head.fields[f] || !strpbrk(head.fields[f], "\r\n"));
        (void)http_list_has(head.fields[HTTP_CONNECTION], "close");
    }
    http_head_clear(&head);
    free(text);
    return 0;
}
