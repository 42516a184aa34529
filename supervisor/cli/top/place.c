#include "supervisor/cli/top/place.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "lib/base/utf8.h"
#include "lib/profile/functions.h"

/* C0, DEL, and C1, which is c2 80 to c2 9f in UTF-8. */
static bool is_control(const char *p, int len)
{
    const unsigned char *u = (const unsigned char *)p;
    return (len == 1 && (u[0] < 0x20 || u[0] == 0x7f)) || (len == 2 && u[0] == 0xc2 && u[1] < 0xa0);
}

int place_add_plain(struct buf *out, const char *text)
{
    const char *end = text + strlen(text);
    int r = 0;
    while (r == 0 && text < end) {
        int len = utf8_char(text, (size_t)(end - text));
        bool good = len > 0 && !is_control(text, len);
        r = good ? buf_add(out, text, (size_t)len) : buf_addc(out, '?');
        text += len > 0 ? len : 1;
    }
    return r;
}

int place_add_name(struct buf *out, const struct function *f)
{
    return f->name[0] ? place_add_plain(out, f->name) : buf_addstr(out, "(anonymous)");
}

static int hex_value(char c)
{
    const char *digits = "0123456789abcdef";
    const char *found = c ? strchr(digits, c | 0x20) : NULL;
    return found ? (int)(found - digits) : -1;
}

/* The path in a file URL, where %20 is a blank.  %00 stays as it is. */
static int add_decoded(struct buf *path, const char *url)
{
    int r = 0;
    while (r == 0 && *url) {
        int high = url[0] == '%' ? hex_value(url[1]) : -1;
        int low = high >= 0 ? hex_value(url[2]) : -1;
        bool escape = low >= 0 && high * 16 + low > 0;
        r = buf_addc(path, escape ? (char)(high * 16 + low) : *url);
        url += escape ? 3 : 1;
    }
    return r;
}

int place_add_location(struct buf *out, const struct function *f, const char *cwd)
{
    if (!f->url[0])
        return 0;
    AUTOBUF struct buf path = BUF_INIT(SIZE_MAX / 4);
    const char *scheme = "file://";
    int r = str_starts(f->url, scheme) ? add_decoded(&path, f->url + strlen(scheme))
                                       : buf_addstr(&path, f->url);
    if (r < 0)
        return r;
    const char *shown = buf_str(&path);
    size_t len = strlen(cwd);
    if (len > 1 && str_starts(shown, cwd) && shown[len] == '/' && shown[len + 1])
        shown += len + 1;
    r = place_add_plain(out, shown);
    if (r == 0 && f->line > 0)
        r = buf_addf(out, ":%u", f->line);
    return r;
}

static bool begins_character(char c)
{
    return ((unsigned char)c & 0xc0) != 0x80;
}

size_t place_width(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += begins_character(*text);
    return width;
}

const char *place_tail(const char *text, size_t columns)
{
    const char *p = text + strlen(text);
    while (columns > 0 && p > text) {
        p--;
        columns -= begins_character(*p);
    }
    return p;
}

const char *place_head_end(const char *text, size_t columns)
{
    const char *p = text;
    for (; *p; p++) {
        if (begins_character(*p) && columns-- == 0)
            return p;
    }
    return p;
}
