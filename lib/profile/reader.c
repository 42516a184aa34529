#include "lib/profile/reader.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/profile/functions.h"
#include "lib/profile/profile.h"

void reader_init(struct reader *r, struct profile *p, const char *text, size_t len,
                 struct profile_error *error)
{
    jscan_init(&r->s, text, len, LIMIT_PROFILE_DEPTH);
    r->profile = p;
    r->error = error;
    /* A decoded string is never longer than its text. */
    buf_init(&r->name, len);
    buf_init(&r->url, len);
}

void reader_clear(struct reader *r)
{
    buf_clear(&r->name);
    buf_clear(&r->url);
}

static void set_error(struct reader *r, size_t offset, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

static void set_error(struct reader *r, size_t offset, const char *fmt, va_list ap)
{
    r->error->offset = offset;
    (void)vsnprintf(r->error->text, sizeof r->error->text, fmt, ap);
}

int reader_fail_at(struct reader *r, size_t offset, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_error(r, offset, fmt, ap);
    va_end(ap);
    return ERR_INVALID;
}

int reader_fail(struct reader *r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    set_error(r, reader_offset(r), fmt, ap);
    va_end(ap);
    return ERR_INVALID;
}

int reader_syntax(struct reader *r)
{
    char space[64];
    (void)reader_fail_at(r, r->s.error_pos, "%s", jscan_error_text(&r->s, space));
    return ERR_SYNTAX;
}

int reader_full(struct reader *r, int code)
{
    (void)reader_fail(r, "%s",
                      code == -ENOMEM ? "no memory left to read the profile"
                                      : "there are more nodes than this program reads");
    return code;
}

int reader_expect(struct reader *r, enum jscan_token token, const char *what)
{
    enum jscan_token got = jscan_next(&r->s);
    if (got == JSCAN_ERROR)
        return reader_syntax(r);
    return got == token ? 0 : reader_fail(r, "%s", what);
}

int reader_int(struct reader *r, const char *key, int64_t min, int64_t max, int64_t *ret_value)
{
    enum jscan_token got = jscan_next(&r->s);
    if (got == JSCAN_ERROR)
        return reader_syntax(r);
    if (got != JSCAN_NUMBER)
        return reader_fail(r, "\"%s\" is no number", key);
    int64_t value;
    if (!jscan_int(&r->s, &value)) {
        double real = jscan_double(&r->s);
        if (!(real > -0x1p63 && real < 0x1p63))
            return reader_fail(r, "\"%s\" is out of range", key);
        value = (int64_t)real;
    }
    if (value < min || value > max)
        return reader_fail(r, "\"%s\" is out of range", key);
    *ret_value = value;
    return 0;
}

int reader_skip(struct reader *r)
{
    return jscan_skip(&r->s) ? 0 : reader_syntax(r);
}

/* The last string as it is shown: borrowed from the text, or decoded into `space`. */
static int shown_text(struct reader *r, struct buf *space, const char **ret_text, size_t *ret_len)
{
    if (!r->s.escaped) {
        *ret_text = r->s.start;
        *ret_len = r->s.token_len;
        return 0;
    }
    buf_reset(space);
    int code = jscan_string(&r->s, space);
    if (code < 0)
        return reader_full(r, code);
    /* Names are C strings from here on. */
    for (char *nul = space->data; (nul = memchr(nul, 0, space->len - (size_t)(nul - space->data)));)
        *nul = '?';
    *ret_text = buf_str(space);
    *ret_len = space->len;
    return 0;
}

static int read_string(struct reader *r, const char *what, struct buf *space, const char **ret_text,
                       size_t *ret_len)
{
    int code = reader_expect(r, JSCAN_STRING, what);
    return code < 0 ? code : shown_text(r, space, ret_text, ret_len);
}

/* Lines and columns count from 0 in the file, -1 (or a key that is missing) is unknown; from 1 and
 * 0 with us. */
static int read_place(struct reader *r, const char *key, uint32_t *ret_place)
{
    int64_t value;
    int code = reader_int(r, key, INT32_MIN, UINT32_MAX - 1, &value);
    if (code == 0)
        *ret_place = value < 0 ? 0 : (uint32_t)value + 1;
    return code;
}

/* V8 writes a number as a string; "0" is native code. */
static int read_script(struct reader *r, bool *ret_has_script)
{
    int code = reader_skip(r);
    if (code == 0)
        *ret_has_script = r->s.token_len > 0 && *r->s.start >= '1' && *r->s.start <= '9';
    return code;
}

static int read_frame_member(struct reader *r, struct function_key *key)
{
    if (READER_KEY(r, "functionName"))
        return read_string(r, "\"functionName\" is no string", &r->name, &key->name,
                           &key->name_len);
    if (READER_KEY(r, "url"))
        return read_string(r, "\"url\" is no string", &r->url, &key->url, &key->url_len);
    if (READER_KEY(r, "lineNumber"))
        return read_place(r, "lineNumber", &key->line);
    if (READER_KEY(r, "columnNumber"))
        return read_place(r, "columnNumber", &key->column);
    if (READER_KEY(r, "scriptId"))
        return read_script(r, &key->has_script);
    return reader_skip(r);
}

int reader_frame(struct reader *r, uint32_t *ret_function)
{
    int code = reader_expect(r, JSCAN_OBJECT, "\"callFrame\" is no object");
    if (code < 0)
        return code;
    size_t offset = reader_offset(r);
    struct function_key key = {.url = ""};
    enum jscan_token t;
    while ((t = jscan_next(&r->s)) == JSCAN_KEY) {
        code = read_frame_member(r, &key);
        if (code < 0)
            return code;
    }
    if (t == JSCAN_ERROR)
        return reader_syntax(r);
    if (!key.name)
        return reader_fail_at(r, offset, "a \"callFrame\" has no \"functionName\"");
    code = functions_add(&r->profile->functions, &key, ret_function);
    return code < 0 ? reader_full(r, code) : 0;
}
