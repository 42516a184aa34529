#include "lib/base/jscan.h"

#include <assert.h>
#include <endian.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/utf8.h"

enum { DEPTH_MAX = 4096 };

/* What may come next. */
enum expect {
    EXPECT_VALUE,
    EXPECT_FIRST_KEY, /* or } */
    EXPECT_COLON,
    EXPECT_FIRST_ITEM, /* or ] */
    EXPECT_COMMA,      /* or the end of the object or array */
    EXPECT_END,
};

enum block { BLOCK_NONE, BLOCK_INSIDE, BLOCK_OVER };

void jscan_init(struct jscan *s, const char *text, size_t len, unsigned max_depth)
{
    assert(max_depth <= DEPTH_MAX);
    *s = (struct jscan){.text = text, .len = len, .max_depth = max_depth, .start = text};
}

static enum jscan_token fail(struct jscan *s, enum jscan_error error, size_t pos)
{
    s->error = error;
    s->error_pos = pos;
    return JSCAN_ERROR;
}

/* What stands at `pos` cannot stand there; or nothing does any more. */
static enum jscan_token unexpected(struct jscan *s)
{
    return fail(s, s->pos < s->len ? JSCAN_UNEXPECTED : JSCAN_UNFINISHED, s->pos);
}

static inline bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static inline bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline void skip_blanks(struct jscan *s)
{
    while (s->pos < s->len && is_blank(s->text[s->pos]))
        s->pos++;
}

/* The character at `pos`; NUL, which can stand nowhere outside strings, at the end. */
static inline char peek(const struct jscan *s)
{
    return s->pos < s->len ? s->text[s->pos] : '\0';
}

static inline bool in_object(const struct jscan *s)
{
    unsigned level = s->depth - 1;
    return s->kinds[level / 64] >> level % 64 & 1;
}

static inline void set_token(struct jscan *s, size_t from, size_t to)
{
    s->start = s->text + from;
    s->token_len = to - from;
}

static inline void after_value(struct jscan *s)
{
    s->expect = s->depth > 0 ? EXPECT_COMMA : EXPECT_END;
}

static enum jscan_token open_level(struct jscan *s, bool object)
{
    if (s->depth == s->max_depth)
        return fail(s, JSCAN_TOO_DEEP, s->pos);
    uint64_t bit = 1ull << s->depth % 64;
    uint64_t *word = &s->kinds[s->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    s->depth++;
    set_token(s, s->pos, s->pos + 1);
    s->pos++;
    s->expect = object ? EXPECT_FIRST_KEY : EXPECT_FIRST_ITEM;
    return object ? JSCAN_OBJECT : JSCAN_ARRAY;
}

/* The end of the present object or array, or an error. */
static enum jscan_token close_level(struct jscan *s)
{
    bool object = in_object(s);
    if (peek(s) != (object ? '}' : ']'))
        return unexpected(s);
    set_token(s, s->pos, s->pos + 1);
    s->pos++;
    s->depth--;
    after_value(s);
    return object ? JSCAN_OBJECT_END : JSCAN_ARRAY_END;
}

/* ---- strings --------------------------------------------------------------------------------- */

#define EACH_BYTE(b) (0x0101010101010101ull * (b))

/* The offset of the first byte in `p`..`end` that is not a plain character of a string: a quote, a
 * backslash, a control character or the begin of a longer UTF-8 character.  Eight bytes at a time.
 */
static inline const char *plain_end(const char *p, const char *end)
{
    while (end - p >= 8) {
        uint64_t word;
        memcpy(&word, p, sizeof word);
        word = le64toh(word);
        uint64_t quote = word ^ EACH_BYTE('"'), backslash = word ^ EACH_BYTE('\\');
        uint64_t found = (quote - EACH_BYTE(1)) & ~quote;
        found |= (backslash - EACH_BYTE(1)) & ~backslash;
        found |= (word - EACH_BYTE(0x20)) & ~word;
        found = (found | word) & EACH_BYTE(0x80);
        if (found)
            return p + __builtin_ctzll(found) / 8;
        p += 8;
    }
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20 &&
           (unsigned char)*p < 0x80)
        p++;
    return p;
}

static int hex_digit(char c)
{
    if (is_digit(c))
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The length of the escape that `p` begins with; 0 when it is bad, -1 when the text ends within it.
 */
static int escape_length(const char *p, const char *end)
{
    if (end - p < 2)
        return -1;
    if (p[1] != 'u')
        return p[1] && strchr("\"\\/bfnrt", p[1]) ? 2 : 0;
    for (int i = 2; i < 6; i++) {
        if (p + i == end)
            return -1;
        if (hex_digit(p[i]) < 0)
            return 0;
    }
    return 6;
}

/* From the opening quote to behind the closing one. */
static bool scan_string(struct jscan *s)
{
    const char *begin = s->text + s->pos + 1, *end = s->text + s->len;
    s->escaped = false;
    for (const char *p = begin;;) {
        p = plain_end(p, end);
        if (p == end) {
            fail(s, JSCAN_UNFINISHED, s->len);
            return false;
        }
        if (*p == '"') {
            s->start = begin;
            s->token_len = (size_t)(p - begin);
            s->pos = (size_t)(p + 1 - s->text);
            return true;
        }
        bool escape = *p == '\\';
        int len = escape                      ? escape_length(p, end)
                  : (unsigned char)*p >= 0x80 ? utf8_char(p, (size_t)(end - p))
                                              : 0;
        if (len <= 0) {
            fail(s, len < 0 ? JSCAN_UNFINISHED : JSCAN_BAD_STRING,
                 len < 0 ? s->len : (size_t)(p - s->text));
            return false;
        }
        s->escaped |= escape;
        p += len;
    }
}

/* ---- numbers and words ----------------------------------------------------------------------- */

/* Characters that make a number longer, and so a bad one when they stand behind it. */
static bool is_word(char c)
{
    return is_digit(c) || (c | 0x20) == 'e' || c == '.' || c == '+' || c == '-';
}

/* Behind the digits from `p` on; NULL when there is none. */
static const char *digits_end(const char *p, const char *end)
{
    const char *begin = p;
    while (p < end && is_digit(*p))
        p++;
    return p == begin ? NULL : p;
}

/* Behind the number that begins at `p`; NULL when it is bad, with the place in `*ret_bad`. */
static const char *number_end(const char *p, const char *end, const char **ret_bad)
{
    if (p < end && *p == '-')
        p++;
    *ret_bad = p;
    const char *next = p < end && *p == '0' ? p + 1 : digits_end(p, end);
    if (!next)
        return NULL;
    if (next < end && *next == '.') {
        *ret_bad = next + 1;
        next = digits_end(next + 1, end);
        if (!next)
            return NULL;
    }
    if (next < end && (*next | 0x20) == 'e') {
        next++;
        if (next < end && (*next == '+' || *next == '-'))
            next++;
        *ret_bad = next;
        next = digits_end(next, end);
        if (!next)
            return NULL;
    }
    *ret_bad = next;
    return next < end && is_word(*next) ? NULL : next;
}

static bool scan_number(struct jscan *s)
{
    const char *begin = s->text + s->pos, *end = s->text + s->len, *bad;
    const char *next = number_end(begin, end, &bad);
    if (!next) {
        fail(s, bad == end ? JSCAN_UNFINISHED : JSCAN_BAD_NUMBER, (size_t)(bad - s->text));
        return false;
    }
    s->start = begin;
    s->token_len = (size_t)(next - begin);
    s->pos += s->token_len;
    return true;
}

static enum jscan_token scan_word(struct jscan *s, const char *word, enum jscan_token token)
{
    size_t begin = s->pos;
    for (const char *w = word; *w; w++, s->pos++)
        if (peek(s) != *w)
            return unexpected(s);
    set_token(s, begin, s->pos);
    after_value(s);
    return token;
}

/* ---- tokens ---------------------------------------------------------------------------------- */

static enum jscan_token next_value(struct jscan *s)
{
    switch (peek(s)) {
    case '{':
        return open_level(s, true);
    case '[':
        return open_level(s, false);
    case '"':
        if (!scan_string(s))
            return JSCAN_ERROR;
        after_value(s);
        return JSCAN_STRING;
    case 't':
        return scan_word(s, "true", JSCAN_TRUE);
    case 'f':
        return scan_word(s, "false", JSCAN_FALSE);
    case 'n':
        return scan_word(s, "null", JSCAN_NULL);
    case '-':
    case '0' ... '9':
        if (!scan_number(s))
            return JSCAN_ERROR;
        after_value(s);
        return JSCAN_NUMBER;
    default:
        return unexpected(s);
    }
}

static enum jscan_token next_key(struct jscan *s)
{
    if (peek(s) != '"')
        return unexpected(s);
    if (!scan_string(s))
        return JSCAN_ERROR;
    s->expect = EXPECT_COLON;
    return JSCAN_KEY;
}

/* Over the one character `c` and the blanks behind it. */
static inline bool take(struct jscan *s, char c)
{
    if (peek(s) != c)
        return false;
    s->pos++;
    skip_blanks(s);
    return true;
}

enum jscan_token jscan_next(struct jscan *s)
{
    if (s->error != JSCAN_OK)
        return JSCAN_ERROR;
    skip_blanks(s);
    switch ((enum expect)s->expect) {
    case EXPECT_VALUE:
        return next_value(s);
    case EXPECT_FIRST_KEY:
        return peek(s) == '}' ? close_level(s) : next_key(s);
    case EXPECT_COLON:
        return take(s, ':') ? next_value(s) : unexpected(s);
    case EXPECT_FIRST_ITEM:
        return peek(s) == ']' ? close_level(s) : next_value(s);
    case EXPECT_COMMA:
        if (!take(s, ','))
            return close_level(s);
        return in_object(s) ? next_key(s) : next_value(s);
    case EXPECT_END:
        return s->pos == s->len ? JSCAN_END : fail(s, JSCAN_TRAILING, s->pos);
    }
    return JSCAN_ERROR;
}

/* Moves to the first character of the value that follows. */
static bool to_value(struct jscan *s)
{
    if (s->error != JSCAN_OK)
        return false;
    skip_blanks(s);
    bool between = s->expect == EXPECT_COLON || (s->expect == EXPECT_COMMA && !in_object(s));
    if (between && !take(s, s->expect == EXPECT_COLON ? ':' : ',')) {
        unexpected(s);
        return false;
    }
    if (!between && s->expect != EXPECT_VALUE && s->expect != EXPECT_FIRST_ITEM) {
        unexpected(s);
        return false;
    }
    s->expect = EXPECT_VALUE;
    return true;
}

bool jscan_skip(struct jscan *s)
{
    unsigned depth = s->depth;
    if (!to_value(s) || next_value(s) == JSCAN_ERROR)
        return false;
    while (s->depth > depth)
        if (jscan_next(s) == JSCAN_ERROR)
            return false;
    return true;
}

static bool open_array(struct jscan *s)
{
    if (!to_value(s))
        return false;
    if (peek(s) != '[') {
        unexpected(s);
        return false;
    }
    return open_level(s, false) != JSCAN_ERROR;
}

bool jscan_jump(struct jscan *s)
{
    if (!open_array(s))
        return false;
    const char *from = s->text + s->pos;
    const char *bracket = memchr(from, ']', s->len - s->pos);
    s->pos = bracket ? (size_t)(bracket - s->text) : s->len;
    return close_level(s) != JSCAN_ERROR;
}

/* ---- arrays of integers ---------------------------------------------------------------------- */

static int64_t clamp_double(double value)
{
    if (value >= 0x1p63)
        return INT64_MAX;
    return value <= -0x1p63 ? INT64_MIN : (int64_t)value;
}

/* One number of any form, at `pos`, as the nearest integer that fits. */
static bool any_number(struct jscan *s, int64_t *ret_value)
{
    if (peek(s) != '-' && !is_digit(peek(s))) {
        unexpected(s);
        return false;
    }
    if (!scan_number(s))
        return false;
    if (!jscan_int(s, ret_value))
        *ret_value = clamp_double(jscan_double(s));
    return true;
}

/* The value of up to eight digits, which `word` holds in its upper bytes, the last one uppermost;
 * the bytes below are zero, as leading zeros would be.  Neighbours are added up in pairs, pairs in
 * fours, fours in the eight. */
static inline uint64_t digits_value(uint64_t word)
{
    word = word * 10 + (word >> 8);
    uint64_t low = (word & 0x000000ff000000ffull) * (100 + (1000000ull << 32));
    uint64_t high = (word >> 16 & 0x000000ff000000ffull) * (1 + (10000ull << 32));
    return (low + high) >> 32;
}

/* Reads a plain integer, at most 7 digits with a comma or the array's end right behind them;
 * returns where it ends, or NULL for anything else, also when the text has no 8 bytes left.  Eight
 * bytes at a time: the lengths of numbers change too often for the processor to guess them. */
static inline const char *plain_int(const char *p, const char *end, int64_t *ret_value)
{
    if (end - p < 9)
        return NULL;
    bool negative = *p == '-';
    p += negative;
    uint64_t word;
    memcpy(&word, p, sizeof word);
    word = le64toh(word) ^ EACH_BYTE('0');
    uint64_t others = ((word + EACH_BYTE(0x80 - 10)) | word) & EACH_BYTE(0x80);
    unsigned bits = others ? (unsigned)__builtin_ctzll(others) & ~7u : 0;
    bool leading_zero = (word & 0xff) == 0 && bits > 8;
    if (bits == 0 || leading_zero || (p[bits / 8] != ',' && p[bits / 8] != ']'))
        return NULL;
    int64_t value = (int64_t)digits_value(word << (64 - bits));
    *ret_value = negative ? -value : value;
    return p + bits / 8;
}

/* One element, at `pos`. */
static bool next_int(struct jscan *s, int64_t *ret_value)
{
    const char *p = s->text + s->pos;
    const char *next = plain_int(p, s->text + s->len, ret_value);
    if (!next)
        return any_number(s, ret_value);
    s->start = p;
    s->token_len = (size_t)(next - p);
    s->pos += s->token_len;
    return true;
}

/* As many elements as follow in the form ",123", from the comma on: V8 writes no other. */
static int plain_ints(struct jscan *s, int64_t *values, int max)
{
    const char *p = s->text + s->pos, *end = s->text + s->len, *last = p;
    int count = 0;
    while (count < max && p < end && *p == ',') {
        const char *next = plain_int(p + 1, end, &values[count]);
        if (!next)
            break;
        last = p + 1;
        p = next;
        count++;
    }
    if (count > 0) {
        s->start = last;
        s->token_len = (size_t)(p - last);
        s->pos = (size_t)(p - s->text);
    }
    return count;
}

int jscan_int_block(struct jscan *s, int64_t *values, int max)
{
    if (s->block == BLOCK_NONE) {
        if (!open_array(s))
            return -1;
        s->block = BLOCK_INSIDE;
    }
    int count = 0;
    while (count < max && s->block == BLOCK_INSIDE) {
        skip_blanks(s);
        bool first = s->expect == EXPECT_FIRST_ITEM;
        if (first ? peek(s) == ']' : !take(s, ',')) {
            if (close_level(s) == JSCAN_ERROR)
                return -1;
            s->block = BLOCK_OVER;
        } else {
            if (!next_int(s, &values[count]))
                return -1;
            s->expect = EXPECT_COMMA;
            count++;
            count += plain_ints(s, values + count, max - count);
        }
    }
    if (count == 0)
        s->block = BLOCK_NONE;
    return s->error == JSCAN_OK ? count : -1;
}

bool jscan_int_array(struct jscan *s, jscan_int_cb each, void *arg)
{
    if (!open_array(s))
        return false;
    for (;;) {
        skip_blanks(s);
        bool first = s->expect == EXPECT_FIRST_ITEM;
        if (first ? peek(s) == ']' : !take(s, ','))
            return close_level(s) != JSCAN_ERROR;
        int64_t value;
        if (!next_int(s, &value))
            return false;
        s->expect = EXPECT_COMMA;
        if (!each(arg, value))
            return false;
    }
}

/* ---- the last token's value ------------------------------------------------------------------ */

/* Of four digits that were checked. */
static uint32_t hex4(const char *p)
{
    uint32_t code = 0;
    for (int i = 0; i < 4; i++)
        code = code << 4 | (uint32_t)hex_digit(p[i]);
    return code;
}

/* Decodes the (checked) escape at `*p`, moving it on; a pair of surrogates counts as one. */
static size_t decode_escape(const char **p, const char *end, char out[static 4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = (*p)[1];
    if (c != 'u') {
        *p += 2;
        out[0] = to[strchr(from, c) - from];
        return 1;
    }
    uint32_t code = hex4(*p + 2);
    *p += 6;
    bool high = code >= 0xd800 && code < 0xdc00, low = code >= 0xdc00 && code < 0xe000;
    if (high && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
        uint32_t second = hex4(*p + 2);
        if (second >= 0xdc00 && second < 0xe000) {
            *p += 6;
            return utf8_put(0x10000 + ((code - 0xd800) << 10) + (second - 0xdc00), out);
        }
    }
    return utf8_put(high || low ? 0xfffd : code, out);
}

bool jscan_is(const struct jscan *s, const char *text)
{
    size_t len = strlen(text);
    if (!s->escaped)
        return len == s->token_len && memcmp(text, s->start, len) == 0;
    const char *text_end = text + len;
    for (const char *p = s->start, *end = p + s->token_len; p < end;) {
        char piece[4];
        size_t n = 1;
        if (*p == '\\')
            n = decode_escape(&p, end, piece);
        else
            piece[0] = *p++;
        if ((size_t)(text_end - text) < n || memcmp(text, piece, n) != 0)
            return false;
        text += n;
    }
    return text == text_end;
}

int jscan_string(const struct jscan *s, struct buf *out)
{
    if (!s->escaped)
        return buf_add(out, s->start, s->token_len);
    for (const char *p = s->start, *end = p + s->token_len; p < end;) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        int r = buf_add(out, p, (size_t)((escape ? escape : end) - p));
        if (r < 0 || !escape)
            return r;
        p = escape;
        char piece[4];
        size_t n = decode_escape(&p, end, piece);
        r = buf_add(out, piece, n);
        if (r < 0)
            return r;
    }
    return 0;
}

bool jscan_int(const struct jscan *s, int64_t *ret_value)
{
    const char *p = s->start, *end = p + s->token_len;
    bool negative = p < end && *p == '-';
    p += negative;
    int64_t value = 0;
    /* Counted downwards: INT64_MIN has no positive counterpart. */
    for (; p < end; p++)
        if (!is_digit(*p) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_sub_overflow(value, *p - '0', &value))
            return false;
    if (!negative && value == INT64_MIN)
        return false;
    *ret_value = negative ? value : -value;
    return true;
}

double jscan_double(const struct jscan *s)
{
    char space[64];
    AUTOFREE char *heap = s->token_len < sizeof space ? NULL : malloc(s->token_len + 1);
    char *copy = s->token_len < sizeof space ? space : heap;
    if (!copy)
        return (double)NAN;
    memcpy(copy, s->start, s->token_len);
    copy[s->token_len] = '\0';
    return strtod(copy, NULL);
}

/* ---- places and texts ------------------------------------------------------------------------ */

void jscan_position(const struct jscan *s, size_t pos, unsigned *ret_line, unsigned *ret_column)
{
    const char *line_start = s->text, *end = s->text + (pos < s->len ? pos : s->len);
    unsigned line = 1;
    for (const char *p; (p = memchr(line_start, '\n', (size_t)(end - line_start))); line++)
        line_start = p + 1;
    size_t column = (size_t)(end - line_start) + 1;
    *ret_line = line;
    *ret_column = column < UINT_MAX ? (unsigned)column : UINT_MAX;
}

static const char *describe_byte(const char *what, unsigned char c, char space[static 64])
{
    bool printable = c > 0x20 && c < 0x7f;
    (void)snprintf(space, 64, printable ? "%s character '%c'" : "%s byte 0x%02x", what, c);
    return space;
}

static const char *bad_string_text(unsigned char c, char space[static 64])
{
    if (c == '\\')
        return "bad escape in a string";
    if (c >= 0x80)
        return "a string is not UTF-8";
    if (c == '\n' || c == '\r')
        return "a string has no closing quote on its line";
    (void)snprintf(space, 64, "control character 0x%02x in a string", c);
    return space;
}

const char *jscan_error_text(const struct jscan *s, char space[static 64])
{
    unsigned char c = s->error_pos < s->len ? (unsigned char)s->text[s->error_pos] : 0;
    switch (s->error) {
    case JSCAN_OK:
        return "no error";
    case JSCAN_UNEXPECTED:
        return describe_byte("unexpected", c, space);
    case JSCAN_UNFINISHED:
        return "the text ends too early";
    case JSCAN_BAD_STRING:
        return bad_string_text(c, space);
    case JSCAN_BAD_NUMBER:
        return "bad number";
    case JSCAN_TOO_DEEP:
        (void)snprintf(space, 64, "nested deeper than %u levels", s->max_depth);
        return space;
    case JSCAN_TRAILING:
        return describe_byte("the text should end here, not go on with", c, space);
    }
    return "unknown error";
}
