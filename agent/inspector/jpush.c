#include "agent/inspector/jpush.h"

#include <string.h>

#include "lib/base/err.h"

enum state {
    AT_TOP,     /* the object that everything is in */
    AT_VALUE,   /* after a colon, or after a comma in an array */
    AT_ELEMENT, /* after '[': a value or ']' */
    AT_MEMBER,  /* after '{': a key or '}' */
    AT_KEY,     /* after a comma in an object */
    AT_COLON,
    AT_NEXT, /* after a value: a comma or the closing bracket */
    IN_STRING,
    IN_ESCAPE,
    IN_HEX,
    IN_NUMBER,
    IN_LITERAL,
    AT_END,
};

enum number {
    NUM_MINUS,
    NUM_ZERO,
    NUM_DIGITS,
    NUM_POINT,
    NUM_FRACTION,
    NUM_E,
    NUM_SIGN,
    NUM_EXPONENT
};

void jpush_init(struct jpush *p, jpush_cb cb, void *arg)
{
    p->depth = 0;
    p->text_len = 0;
    p->text[0] = '\0';
    p->cb = cb;
    p->arg = arg;
    p->state = AT_TOP;
    p->is_key = false;
}

bool jpush_done(const struct jpush *p)
{
    return p->state == AT_END;
}

static int tell(struct jpush *p, enum jpush_event event, const char *at)
{
    return p->depth >= 1 && p->depth <= JPUSH_EVENT_DEPTH ? p->cb(p->arg, event, at) : 0;
}

static void keep_text(struct jpush *p, const char *from, const char *to)
{
    if (p->depth > JPUSH_EVENT_DEPTH)
        return;
    size_t room = sizeof p->text - 1 - p->text_len;
    size_t len = (size_t)(to - from) < room ? (size_t)(to - from) : room;
    memcpy(p->text + p->text_len, from, len);
    p->text_len += len;
    p->text[p->text_len] = '\0';
}

static void start_text(struct jpush *p)
{
    p->text_len = 0;
    p->text[0] = '\0';
}

static bool in_object(const struct jpush *p)
{
    return p->kinds[(p->depth - 1) / 64] >> ((p->depth - 1) % 64) & 1;
}

/* ---- values ---------------------------------------------------------------------------------- */

static int open_bracket(struct jpush *p, bool object)
{
    if (p->depth == JPUSH_MAX_DEPTH)
        return ERR_TOO_BIG;
    uint64_t bit = 1ull << (p->depth % 64);
    uint64_t *word = &p->kinds[p->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    p->depth++;
    p->state = object ? AT_MEMBER : AT_ELEMENT;
    return 0;
}

/* `at` is one past the value. */
static int end_value(struct jpush *p, const char *at)
{
    p->state = p->depth == 0 ? AT_END : AT_NEXT;
    return tell(p, JPUSH_END, at);
}

static int close_bracket(struct jpush *p, const char *at)
{
    if (in_object(p) != (*at == '}'))
        return ERR_SYNTAX;
    p->depth--;
    start_text(p);
    return end_value(p, at + 1);
}

static void start_literal(struct jpush *p, const char *rest)
{
    p->literal = rest;
    p->state = IN_LITERAL;
}

static int start_number(struct jpush *p, char c)
{
    if (c != '-' && (c < '0' || c > '9'))
        return ERR_SYNTAX;
    p->number = c == '-' ? NUM_MINUS : c == '0' ? NUM_ZERO : NUM_DIGITS;
    p->state = IN_NUMBER;
    return 0;
}

static int begin_value(struct jpush *p, const char *at)
{
    int r = tell(p, JPUSH_BEGIN, at);
    if (r < 0)
        return r;
    start_text(p);
    switch (*at) {
    case '{':
        return open_bracket(p, true);
    case '[':
        return open_bracket(p, false);
    case '"':
        p->is_key = false;
        p->state = IN_STRING;
        return 0;
    case 't':
        start_literal(p, "rue");
        break;
    case 'f':
        start_literal(p, "alse");
        break;
    case 'n':
        start_literal(p, "ull");
        break;
    default:
        r = start_number(p, *at);
    }
    keep_text(p, at, at + 1);
    return r;
}

/* ---- inside a token: each returns where it stopped, NULL on a syntax error ------------------- */

static const char *read_string(struct jpush *p, const char *at, const char *end)
{
    const char *from = at;
    while (at < end && *at != '"' && *at != '\\' && (unsigned char)*at >= 0x20)
        at++;
    keep_text(p, from, at);
    if (at == end)
        return at;
    if ((unsigned char)*at < 0x20)
        return NULL;
    if (*at == '\\') {
        keep_text(p, at, at + 1);
        p->state = IN_ESCAPE;
    }
    return at;
}

static bool read_escape(struct jpush *p, char c)
{
    if (c == '\0' || !strchr("\"\\/bfnrtu", c))
        return false;
    p->state = c == 'u' ? IN_HEX : IN_STRING;
    p->hex = 4;
    return true;
}

static bool read_hex(struct jpush *p, char c)
{
    if (c == '\0' || !strchr("0123456789abcdefABCDEF", c))
        return false;
    if (--p->hex == 0)
        p->state = IN_STRING;
    return true;
}

/* Does `c` belong to the number?  Then it is taken. */
static bool take_digit(struct jpush *p, char c)
{
    bool digit = c >= '0' && c <= '9';
    bool e = c == 'e' || c == 'E';
    switch ((enum number)p->number) {
    case NUM_MINUS:
        p->number = c == '0' ? NUM_ZERO : digit ? NUM_DIGITS : NUM_MINUS;
        return digit;
    case NUM_DIGITS:
        if (digit)
            return true;
        __attribute__((fallthrough));
    case NUM_ZERO:
        p->number = c == '.' ? NUM_POINT : e ? NUM_E : p->number;
        return c == '.' || e;
    case NUM_POINT:
        p->number = digit ? NUM_FRACTION : p->number;
        return digit;
    case NUM_FRACTION:
        p->number = e ? NUM_E : p->number;
        return digit || e;
    case NUM_E:
        p->number = digit ? NUM_EXPONENT : c == '+' || c == '-' ? NUM_SIGN : p->number;
        return digit || c == '+' || c == '-';
    case NUM_SIGN:
        p->number = digit ? NUM_EXPONENT : p->number;
        return digit;
    case NUM_EXPONENT:
        return digit;
    }
    return false;
}

static bool number_may_end(const struct jpush *p)
{
    return p->number == NUM_ZERO || p->number == NUM_DIGITS || p->number == NUM_FRACTION ||
           p->number == NUM_EXPONENT;
}

/* ---- the scan -------------------------------------------------------------------------------- */

static bool is_blank(char c)
{
    return c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

/* A character between tokens that is no blank. */
static int take_structure(struct jpush *p, const char *at)
{
    switch ((enum state)p->state) {
    case AT_TOP:
        return *at == '{' ? begin_value(p, at) : ERR_SYNTAX;
    case AT_VALUE:
        return begin_value(p, at);
    case AT_ELEMENT:
        return *at == ']' ? close_bracket(p, at) : begin_value(p, at);
    case AT_MEMBER:
        if (*at == '}')
            return close_bracket(p, at);
        __attribute__((fallthrough));
    case AT_KEY:
        p->is_key = true;
        p->state = IN_STRING;
        start_text(p);
        return *at == '"' ? 0 : ERR_SYNTAX;
    case AT_COLON:
        p->state = AT_VALUE;
        return *at == ':' ? 0 : ERR_SYNTAX;
    case AT_NEXT:
        if (*at == '}' || *at == ']')
            return close_bracket(p, at);
        p->state = in_object(p) ? AT_KEY : AT_VALUE;
        return *at == ',' ? 0 : ERR_SYNTAX;
    case IN_STRING:
    case IN_ESCAPE:
    case IN_HEX:
    case IN_NUMBER:
    case IN_LITERAL:
    case AT_END:
        break;
    }
    return ERR_SYNTAX;
}

/* `at` is the closing quote. */
static int end_string(struct jpush *p, const char *at)
{
    if (!p->is_key)
        return end_value(p, at + 1);
    p->state = AT_COLON;
    return tell(p, JPUSH_KEY, at + 1);
}

static int take_in_string(struct jpush *p, const char **at, const char *end)
{
    if (p->state != IN_STRING) {
        keep_text(p, *at, *at + 1);
        char c = *(*at)++;
        return (p->state == IN_ESCAPE ? read_escape(p, c) : read_hex(p, c)) ? 0 : ERR_SYNTAX;
    }
    const char *stop = read_string(p, *at, end);
    if (!stop)
        return ERR_SYNTAX;
    *at = stop;
    if (stop == end)
        return 0;
    (*at)++;
    return p->state == IN_STRING ? end_string(p, stop) : 0;
}

/* The byte behind a number ends it and is looked at again. */
static int take_in_number(struct jpush *p, const char **at, const char *end)
{
    const char *from = *at;
    while (*at < end && take_digit(p, **at))
        (*at)++;
    keep_text(p, from, *at);
    if (*at == end)
        return 0;
    return number_may_end(p) ? end_value(p, *at) : ERR_SYNTAX;
}

static int take_in_literal(struct jpush *p, const char **at)
{
    if (**at != *p->literal)
        return ERR_SYNTAX;
    keep_text(p, *at, *at + 1);
    (*at)++;
    p->literal++;
    return *p->literal == '\0' ? end_value(p, *at) : 0;
}

static int take_some(struct jpush *p, const char **at, const char *end)
{
    switch ((enum state)p->state) {
    case IN_STRING:
    case IN_ESCAPE:
    case IN_HEX:
        return take_in_string(p, at, end);
    case IN_NUMBER:
        return take_in_number(p, at, end);
    case IN_LITERAL:
        return take_in_literal(p, at);
    case AT_TOP:
    case AT_VALUE:
    case AT_ELEMENT:
    case AT_MEMBER:
    case AT_KEY:
    case AT_COLON:
    case AT_NEXT:
    case AT_END:
        break;
    }
    const char *here = (*at)++;
    return is_blank(*here) ? 0 : take_structure(p, here);
}

int jpush_feed(struct jpush *p, const char *data, size_t len)
{
    const char *end = data + len;
    for (const char *at = data; at < end;) {
        int r = take_some(p, &at, end);
        if (r < 0)
            return r;
    }
    return 0;
}
