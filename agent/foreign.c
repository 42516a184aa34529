#include "agent/foreign.h"

#include <stdbool.h>
#include <string.h>

static bool is_control(const char *text, size_t i)
{
    unsigned char c = (unsigned char)text[i];
    if (c < 0x20 || c == 0x7f)
        return true;
    /* U+0080 to U+009F, which some terminals obey too. */
    return c == 0xc2 && (unsigned char)text[i + 1] >= 0x80 && (unsigned char)text[i + 1] < 0xa0;
}

void foreign_copy(char *ret_text, size_t size, const char *text)
{
    if (!text)
        text = "";
    size_t len = strlen(text);
    if (len >= size) {
        len = size - 1;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    size_t out = 0;
    for (size_t i = 0; i < len; i++) {
        bool control = is_control(text, i);
        ret_text[out++] = control ? '?' : text[i];
        i += control && (unsigned char)text[i] == 0xc2;
    }
    ret_text[out] = '\0';
}
