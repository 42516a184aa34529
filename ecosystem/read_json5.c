#include "ecosystem/read_json5.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "ecosystem/config_error.h"
#include "ecosystem/node.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/utf8.h"

struct reader {
    const char *at;
    const char *end;
    const char *line_start;
    unsigned line;
    unsigned depth;
    struct config_error *error;
};

static int read_value(struct reader *rd, struct node *n);

/* ---- errors ---------------------------------------------------------------------------------- */

static int error_at(struct reader *rd, const char *sentence)
{
    int r = config_error_set(rd->error, ERR_SYNTAX, rd->line, NULL, "%s", sentence);
    rd->error->column = (unsigned)(rd->at - rd->line_start) + 1;
    return r;
}

/* What people try who take the file for JavaScript, YAML or a shell script. */
static const char *hint_for(const struct reader *rd)
{
    char c = *rd->at;
    if (c == '#')
        return "; a comment begins with //";
    if (c == '`' || c == '(')
        return "; a file that computes its apps is named .config.js";
    if (c == '"' || c == '\'' || isalpha((unsigned char)c))
        return "; a comma, a colon or a quote is missing before it";
    return "";
}

static int unexpected(struct reader *rd)
{
    if (rd->at == rd->end)
        return error_at(rd, "the text ends too early");
    int len = utf8_char(rd->at, (size_t)(rd->end - rd->at));
    AUTOFREE char *sentence =
        xasprintf("unexpected character '%.*s'%s", len > 0 ? len : 1, rd->at, hint_for(rd));
    return error_at(rd, sentence);
}

/* ---- blanks and comments --------------------------------------------------------------------- */

static bool starts(const struct reader *rd, const char *text)
{
    size_t len = strlen(text);
    return (size_t)(rd->end - rd->at) >= len && memcmp(rd->at, text, len) == 0;
}

static void step(struct reader *rd)
{
    if (*rd->at++ != '\n')
        return;
    rd->line++;
    rd->line_start = rd->at;
}

static int skip_comment(struct reader *rd)
{
    if (starts(rd, "//")) {
        while (rd->at < rd->end && *rd->at != '\n')
            rd->at++;
        return 0;
    }
    struct reader start = *rd;
    rd->at += 2;
    while (rd->at < rd->end && !starts(rd, "*/"))
        step(rd);
    if (rd->at == rd->end) {
        *rd = start;
        return error_at(rd, "the comment that begins here has no end");
    }
    rd->at += 2;
    return 0;
}

/* Bytes of a blank that stands here: ASCII, no-break space, byte order mark, U+2028, U+2029. */
static size_t blank_len(const struct reader *rd)
{
    static const char *const others[] = {"\xc2\xa0", "\xef\xbb\xbf", "\xe2\x80\xa8",
                                         "\xe2\x80\xa9"};
    if (rd->at < rd->end && *rd->at && strchr(" \t\r\n\v\f", *rd->at))
        return 1;
    for (size_t i = 0; i < ARRAY_SIZE(others); i++)
        if (starts(rd, others[i]))
            return strlen(others[i]);
    return 0;
}

/* To the next token, or the end. */
static int skip_blanks(struct reader *rd)
{
    for (;;) {
        size_t blank = blank_len(rd);
        int r = 0;
        if (blank == 1)
            step(rd);
        else if (blank)
            rd->at += blank;
        else if (starts(rd, "//") || starts(rd, "/*"))
            r = skip_comment(rd);
        else
            return 0;
        if (r < 0)
            return r;
    }
}

/* ---- strings --------------------------------------------------------------------------------- */

static int hex_digits(struct reader *rd, int count, unsigned *ret_value)
{
    unsigned value = 0;
    for (int i = 0; i < count; i++, rd->at++) {
        if (rd->at == rd->end || !isxdigit((unsigned char)*rd->at))
            return error_at(rd, "a hexadecimal digit is missing");
        char digit[2] = {*rd->at, '\0'};
        value = value * 16 + (unsigned)strtoul(digit, NULL, 16);
    }
    *ret_value = value;
    return 0;
}

/* Behind \u: one character, which may need two escapes. */
static int unicode_escape(struct reader *rd, struct buf *out)
{
    char text[4];
    unsigned c = 0, low = 0;
    int r = hex_digits(rd, 4, &c);
    if (r < 0)
        return r;
    if (c >= 0xd800 && c < 0xdc00 && starts(rd, "\\u")) {
        struct reader before = *rd;
        rd->at += 2;
        r = hex_digits(rd, 4, &low);
        if (r < 0)
            return r;
        if (low >= 0xdc00 && low < 0xe000)
            c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
        else
            *rd = before;
    }
    if (c >= 0xd800 && c < 0xe000)
        c = 0xfffd;
    return buf_add(out, text, utf8_put(c, text));
}

/* Behind the backslash. */
static int read_escape(struct reader *rd, struct buf *out)
{
    static const char letters[] = "bfnrtv0", meanings[] = "\b\f\n\r\t\v\0";
    if (rd->at == rd->end)
        return unexpected(rd);
    char c = *rd->at;
    const char *letter = c ? strchr(letters, c) : NULL;
    /* The character stands for itself, whatever its length. */
    if (c & 0x80)
        return 0;
    if (c == 'u' || c == 'x') {
        unsigned value = 0;
        char text[4];
        rd->at++;
        if (c == 'u')
            return unicode_escape(rd, out);
        int r = hex_digits(rd, 2, &value);
        return r < 0 ? r : buf_add(out, text, utf8_put(value, text));
    }
    if (isdigit((unsigned char)c) &&
        (c != '0' || (rd->at + 1 < rd->end && isdigit((unsigned char)rd->at[1]))))
        return error_at(rd, "a backslash before a digit has no meaning");
    if (c == '\r' && rd->at + 1 < rd->end && rd->at[1] == '\n')
        rd->at++;
    step(rd);
    /* A line that goes on. */
    if (c == '\n' || c == '\r')
        return 0;
    return buf_addc(out, letter ? meanings[letter - letters] : c);
}

static int read_string(struct reader *rd, struct buf *out)
{
    char quote = *rd->at++;
    int r = 0;
    while (r == 0) {
        if (rd->at == rd->end || *rd->at == '\n')
            return error_at(rd, "a string has no end on its line");
        int len = utf8_char(rd->at, (size_t)(rd->end - rd->at));
        if (len <= 0)
            return error_at(rd, "a string is not UTF-8");
        if (*rd->at == quote)
            break;
        if (*rd->at == '\\') {
            rd->at++;
            r = read_escape(rd, out);
            continue;
        }
        r = buf_add(out, rd->at, (size_t)len);
        rd->at += len;
    }
    if (r == 0)
        rd->at++;
    if (r == ERR_TOO_BIG || r == -ENOMEM)
        return config_error_set(rd->error, r, rd->line, NULL, "%s", err_str(r));
    return r;
}

/* ---- words and numbers ----------------------------------------------------------------------- */

static size_t word_len(const struct reader *rd)
{
    const char *p = rd->at;
    while (p < rd->end && (isalnum((unsigned char)*p) || strchr("_$", *p) || (*p & 0x80)) && *p)
        p++;
    return (size_t)(p - rd->at);
}

static bool is_word(const struct reader *rd, const char *word)
{
    return word_len(rd) == strlen(word) && starts(rd, word);
}

static size_t digits(const char *p, const char *end)
{
    const char *start = p;
    while (p < end && isdigit((unsigned char)*p))
        p++;
    return (size_t)(p - start);
}

/* The length of a decimal number; 0 when there is none. */
static size_t decimal_len(const char *start, const char *end)
{
    const char *p = start;
    size_t whole = digits(p, end), fraction = 0;
    p += whole;
    if (p < end && *p == '.') {
        fraction = digits(p + 1, end);
        p += 1 + fraction;
    }
    if (whole + fraction == 0)
        return 0;
    if (p < end && (*p == 'e' || *p == 'E')) {
        const char *exponent = p + 1;
        exponent += exponent < end && (*exponent == '+' || *exponent == '-');
        size_t count = digits(exponent, end);
        p = count ? exponent + count : p;
    }
    return (size_t)(p - start);
}

/* As JSON would write it, where the file does not. */
static void set_number(struct node *n, double number, const char *text, size_t len, bool is_json)
{
    n->kind = NODE_NUMBER;
    n->number = number;
    n->text = is_json ? xstrndup(text, len) : xasprintf("%.17g", number);
    n->len = strlen(n->text);
}

static int read_number(struct reader *rd, struct node *n)
{
    const char *start = rd->at, *p = start;
    bool negative = *p == '-', sign = negative || *p == '+';
    p += sign;
    bool hex =
        rd->end - p > 2 && p[0] == '0' && (p[1] | 0x20) == 'x' && isxdigit((unsigned char)p[2]);
    if (hex) {
        const char *q = p + 2;
        while (q < rd->end && isxdigit((unsigned char)*q))
            q++;
        AUTOFREE char *text = xstrndup(p, (size_t)(q - p));
        double value = (double)strtoull(text, NULL, 16);
        rd->at = q;
        set_number(n, negative ? -value : value, NULL, 0, false);
    } else {
        size_t len = decimal_len(p, rd->end);
        if (len == 0)
            return unexpected(rd);
        if (*p == '0' && len > 1 && isdigit((unsigned char)p[1]))
            return error_at(rd, "a number must not begin with 0");
        AUTOFREE char *text = xstrndup(p, len);
        bool is_json = *start != '+' && isdigit((unsigned char)*text) && text[len - 1] != '.' &&
                       !strstr(text, ".e") && !strstr(text, ".E");
        rd->at = p + len;
        double value = strtod(text, NULL);
        if (!is_json && isinf(value))
            return error_at(rd, "a number is too large");
        set_number(n, negative ? -value : value, start, (size_t)(rd->at - start), is_json);
    }
    return word_len(rd) ? unexpected(rd) : 0;
}

static int unknown_word(struct reader *rd)
{
    static const char *const script[] = {"module", "exports", "export",  "import",  "const",
                                         "let",    "var",     "require", "process", "function"};
    size_t len = word_len(rd);
    const char *hint = "a string stands in quotes";
    if (len == 0)
        return unexpected(rd);
    for (size_t i = 0; i < ARRAY_SIZE(script); i++)
        if (is_word(rd, script[i]))
            hint = "a file of JavaScript is named .config.js";
    AUTOFREE char *sentence =
        xasprintf("unexpected word '%.*s'; %s", len > 40 ? 40 : (int)len, rd->at, hint);
    return error_at(rd, sentence);
}

static int read_word(struct reader *rd, struct node *n)
{
    if (is_word(rd, "null"))
        n->kind = NODE_NULL;
    else if (is_word(rd, "true") || is_word(rd, "false"))
        n->kind = NODE_BOOL;
    else
        return unknown_word(rd);
    n->truth = *rd->at == 't';
    rd->at += word_len(rd);
    return 0;
}

/* ---- values ---------------------------------------------------------------------------------- */

static int read_key(struct reader *rd, struct node *member)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_ECOSYSTEM_FILE);
    member->key_line = rd->line;
    size_t len = word_len(rd);
    if (len && !isdigit((unsigned char)*rd->at)) {
        member->key = xstrndup(rd->at, len);
        for (size_t i = 0; i < len;) {
            int step_len = utf8_char(rd->at + i, len - i);
            if (step_len <= 0)
                return error_at(rd, "a key is not UTF-8");
            i += (size_t)step_len;
        }
        rd->at += len;
        return 0;
    }
    if (rd->at == rd->end || (*rd->at != '"' && *rd->at != '\''))
        return unexpected(rd);
    int r = read_string(rd, &text);
    if (r < 0)
        return r;
    if (strlen(buf_str(&text)) != text.len)
        return config_error_set(rd->error, ERR_INVALID, member->key_line, NULL,
                                "a key contains a NUL character");
    member->key = buf_take(&text);
    return 0;
}

/* The comma or the closing bracket behind an element; 1: there may be another. */
static int read_separator(struct reader *rd, char close)
{
    int r = skip_blanks(rd);
    if (r < 0)
        return r;
    if (rd->at < rd->end && *rd->at == ',') {
        rd->at++;
        return 1;
    }
    return rd->at < rd->end && *rd->at == close ? 0 : unexpected(rd);
}

static int read_member(struct reader *rd, struct node *object)
{
    struct node *member = node_add(object);
    int r = read_key(rd, member);
    if (r == 0)
        r = skip_blanks(rd);
    if (r < 0)
        return r;
    if (rd->at == rd->end || *rd->at != ':')
        return unexpected(rd);
    rd->at++;
    return read_value(rd, member);
}

static int read_elements(struct reader *rd, struct node *n, char close)
{
    for (int r = 1; r > 0;) {
        r = skip_blanks(rd);
        if (r == 0 && rd->at < rd->end && *rd->at == close)
            return 0;
        if (r == 0)
            r = close == '}' ? read_member(rd, n) : read_value(rd, node_add(n));
        if (r == 0)
            r = read_separator(rd, close);
        if (r < 0)
            return r;
    }
    return 0;
}

static int read_nested(struct reader *rd, struct node *n)
{
    bool is_object = *rd->at == '{';
    if (rd->depth == LIMIT_JSON_DEPTH)
        return error_at(rd, "nested too deeply");
    n->kind = is_object ? NODE_OBJECT : NODE_LIST;
    rd->at++;
    rd->depth++;
    int r = read_elements(rd, n, is_object ? '}' : ']');
    if (r < 0)
        return r;
    rd->at++;
    rd->depth--;
    return is_object ? node_refuse_duplicates(n, rd->error) : 0;
}

static int read_text(struct reader *rd, struct node *n)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_ECOSYSTEM_FILE);
    int r = read_string(rd, &text);
    if (r < 0)
        return r;
    n->kind = NODE_STRING;
    n->len = text.len;
    n->text = buf_take(&text);
    return 0;
}

static int read_value(struct reader *rd, struct node *n)
{
    int r = skip_blanks(rd);
    if (r < 0)
        return r;
    n->line = rd->line;
    if (rd->at == rd->end)
        return unexpected(rd);
    char c = *rd->at;
    if (c == '{' || c == '[')
        return read_nested(rd, n);
    if (c == '"' || c == '\'')
        return read_text(rd, n);
    if (isdigit((unsigned char)c) || (c && strchr("+-.", c)))
        return read_number(rd, n);
    return read_word(rd, n);
}

int read_json5(const char *text, size_t len, struct node *ret_node, struct config_error *reterr)
{
    struct reader rd = {
        .at = text, .end = text + len, .line_start = text, .line = 1, .error = reterr};
    AUTONODE struct node root = {0};
    int r = read_value(&rd, &root);
    if (r == 0)
        r = skip_blanks(&rd);
    if (r == 0 && rd.at < rd.end)
        r = unexpected(&rd);
    if (r < 0)
        return r;
    *ret_node = root;
    root = (struct node){0};
    return 0;
}
