#include "lib/base/buf.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/utf8.h"

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf)BUF_INIT(limit);
}

void buf_clear(struct buf *b)
{
    free(b->data);
    b->data = NULL;
    b->len = b->cap = 0;
}

void buf_reset(struct buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

int buf_reserve(struct buf *b, size_t len, char **ret_space)
{
    if (len > b->limit || b->len > b->limit - len)
        return ERR_TOO_BIG;
    size_t need = b->len + len + 1;
    if (need > b->cap) {
        size_t cap = b->cap ? b->cap : 64;
        while (cap < need)
            cap *= 2;
        if (cap > b->limit + 1)
            cap = b->limit + 1;
        char *data = realloc(b->data, cap);
        if (!data)
            return -ENOMEM;
        b->data = data;
        b->cap = cap;
    }
    *ret_space = b->data + b->len;
    return 0;
}

void buf_added(struct buf *b, size_t len)
{
    assert(b->len + len < b->cap);
    b->len += len;
    b->data[b->len] = '\0';
}

int buf_add(struct buf *b, const void *data, size_t len)
{
    char *space;
    int r = buf_reserve(b, len, &space);
    if (r < 0)
        return r;
    if (len > 0)
        memcpy(space, data, len);
    buf_added(b, len);
    return 0;
}

int buf_addc(struct buf *b, char c)
{
    return buf_add(b, &c, 1);
}

int buf_addstr(struct buf *b, const char *s)
{
    return buf_add(b, s, strlen(s));
}

int buf_vaddf(struct buf *b, const char *fmt, va_list ap)
{
    va_list measure;
    va_copy(measure, ap);
    int len = vsnprintf(NULL, 0, fmt, measure);
    va_end(measure);
    if (len < 0)
        return -EINVAL;
    char *space;
    int r = buf_reserve(b, (size_t)len, &space);
    if (r < 0)
        return r;
    (void)vsnprintf(space, (size_t)len + 1, fmt, ap);
    buf_added(b, (size_t)len);
    return 0;
}

int buf_addf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int r = buf_vaddf(b, fmt, ap);
    va_end(ap);
    return r;
}

static int add_json_escape(struct buf *b, char c)
{
    switch (c) {
    case '"':
        return buf_addstr(b, "\\\"");
    case '\\':
        return buf_addstr(b, "\\\\");
    case '\n':
        return buf_addstr(b, "\\n");
    case '\r':
        return buf_addstr(b, "\\r");
    case '\t':
        return buf_addstr(b, "\\t");
    default:
        return buf_addf(b, "\\u%04x", (unsigned char)c);
    }
}

int buf_add_json_string(struct buf *b, const char *s)
{
    int r = buf_addc(b, '"');
    const char *end = s + strlen(s);
    for (const char *p = s; r == 0 && p < end;) {
        const char *plain = p;
        int len = 1;
        while (p < end && (unsigned char)*p >= 0x20 && *p != '"' && *p != '\\' &&
               (len = utf8_char(p, (size_t)(end - p))) > 0)
            p += len;
        r = buf_add(b, plain, (size_t)(p - plain));
        if (r < 0 || p == end)
            break;
        r = len <= 0 ? buf_addc(b, '?') : add_json_escape(b, *p);
        p++;
    }
    return r < 0 ? r : buf_addc(b, '"');
}

void buf_consume(struct buf *b, size_t len)
{
    assert(len <= b->len);
    if (len == 0)
        return;
    memmove(b->data, b->data + len, b->len - len + 1);
    b->len -= len;
}

void buf_cut(struct buf *b, size_t len)
{
    assert(len <= b->len);
    b->len = len;
    if (b->data)
        b->data[len] = '\0';
}

const char *buf_str(const struct buf *b)
{
    return b->data ? b->data : "";
}

char *buf_take(struct buf *b)
{
    char *data = b->data ? b->data : xstrdup("");
    b->data = NULL;
    b->len = b->cap = 0;
    return data;
}
