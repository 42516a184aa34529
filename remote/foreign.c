#include "remote/foreign.h"

#include <string.h>

#include "lib/base/str.h"
#include "lib/base/utf8.h"

const char *foreign_text(const json_t *value, size_t min, size_t max)
{
    const char *text = json_string_value(value);
    if (!text)
        return NULL;
    size_t len = strlen(text);
    return len == json_string_length(value) && len >= min && len <= max ? text : NULL;
}

bool foreign_int(const json_t *value, int64_t min, int64_t max, int64_t *ret_value)
{
    if (!json_is_integer(value) || json_integer_value(value) < min ||
        json_integer_value(value) > max)
        return false;
    *ret_value = json_integer_value(value);
    return true;
}

bool foreign_has(const json_t *list, const char *word)
{
    size_t i;
    json_t *item;
    json_array_foreach(list, i, item)
    {
        if (str_eq(json_string_value(item), word))
            return true;
    }
    return false;
}

/* The bytes of the character at `p`; 1 for one that is none. */
static size_t char_len(const char *p)
{
    int len = utf8_char(p, strnlen(p, 4));
    return len > 0 ? (size_t)len : 1;
}

/* C0, DEL, and C1, which begins with 0xc2 0x80 to 0x9f in UTF-8. */
static bool is_control(const char *p, size_t len)
{
    unsigned char c = (unsigned char)p[0], second = len > 1 ? (unsigned char)p[1] : 0;
    return c < 0x20 || c == 0x7f || (len == 1 && c >= 0x80) ||
           (len == 2 && c == 0xc2 && second < 0xa0);
}

void foreign_copy(char *out, size_t size, const char *text)
{
    size_t at = 0;
    while (*text) {
        size_t len = char_len(text);
        bool control = is_control(text, len);
        size_t room = control ? 1 : len;
        if (at + room >= size)
            break;
        if (control)
            out[at] = '?';
        else
            memcpy(out + at, text, len);
        at += room;
        text += len;
    }
    out[at] = '\0';
}
