/* jscan.h -- a pull tokenizer for JSON text that lies in memory (or is mapped), for the parsers that need positions or
 * speed: ecosystem files and profiles.  It builds nothing; control messages use json.h.
 *
 *     struct jscan s;
 *     jscan_init(&s, text, len, LIMIT_JSON_DEPTH);
 *     for (enum jscan_token t; (t = jscan_next(&s)) != JSCAN_END;) {
 *         if (t == JSCAN_ERROR)
 *             return …;                     there is no END after an error
 *         …
 *     }
 *
 * Inside an object the tokens are KEY, value, KEY, value, …; colons and commas are checked and not reported.  The text
 * is RFC 8259 in UTF-8 without a byte order mark; every byte is looked at once.  Equal keys in one object are the
 * reader's business.  A lone surrogate (\ud800) is grammar, and passes.  After JSCAN_ERROR or JSCAN_END the scanner
 * stays there.
 *
 * A struct jscan can be copied: the copy is a second cursor over the same text. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

enum jscan_token {
    JSCAN_END, /* the whole text was one valid value, followed by blanks only */
    JSCAN_ERROR,
    JSCAN_OBJECT, /* { */
    JSCAN_OBJECT_END,
    JSCAN_ARRAY, /* [ */
    JSCAN_ARRAY_END,
    JSCAN_KEY,    /* start/len: the raw text between the quotes */
    JSCAN_STRING, /* the same */
    JSCAN_NUMBER, /* start/len: the number's text */
    JSCAN_TRUE,
    JSCAN_FALSE,
    JSCAN_NULL,
};

enum jscan_error {
    JSCAN_OK,
    JSCAN_UNEXPECTED, /* a character that cannot stand here */
    JSCAN_UNFINISHED, /* the text ends too early */
    JSCAN_BAD_STRING, /* control character, bad escape or bad UTF-8 in a string */
    JSCAN_BAD_NUMBER,
    JSCAN_TOO_DEEP,
    JSCAN_TRAILING, /* something follows the value */
};

struct jscan {
    const char *text;
    size_t len;
    size_t pos; /* the next byte to read */
    const char *
        start; /* the last token's text, without quotes; not NUL-terminated; - text is its position */
    size_t token_len;
    bool escaped; /* the last key or string contains a backslash: use jscan_string() to read it */
    unsigned depth;
    unsigned max_depth;
    enum jscan_error error;
    size_t error_pos; /* of the character at fault; for JSCAN_UNFINISHED the end of the text */
    /* private */
    unsigned char expect;
    unsigned char block; /* where jscan_int_block() is */
    uint64_t kinds[64];  /* one bit per level: object or array; bounds max_depth to 4096 */
};

/* `max_depth` <= 4096.  The text is borrowed until the scan is over. */
void jscan_init(struct jscan *s, const char *text, size_t len, unsigned max_depth);

enum jscan_token jscan_next(struct jscan *s);

/* Skips the value that follows (call it after KEY, or before an array element), checking it all the same.  Returns
 * false on error; an object or array that ends here instead is one (JSCAN_UNEXPECTED). */
bool jscan_skip(struct jscan *s);

/* Jumps over the value that follows, which must be an array, to its first ']' without looking at what lies between:
 * for an array of numbers that another cursor, a copy made before, reads and so checks. */
bool jscan_jump(struct jscan *s);

/* Is the last key or string equal to `text`?  Escapes are decoded first. */
bool jscan_is(const struct jscan *s, const char *text);

/* The last key or string, decoded to UTF-8 and appended to `out`.  Lone surrogates become U+FFFD; \u0000 is kept.
 * Returns 0 or what buf_add() returns. */
int jscan_string(const struct jscan *s, struct buf *out);

/* The last number as an integer.  False when it has a fraction or exponent, or does not fit. */
bool jscan_int(const struct jscan *s, int64_t *ret_value);

/* The last number as a double; past the range of a double it is infinite.  Needs the C locale for numbers. */
double jscan_double(const struct jscan *s);

/* The value's integers when the next token opens an array of integers only (profiles: samples, timeDeltas).  Calls
 * `each` for every element, in a tight loop without tokens.  Returns false on error (a fraction is rounded towards zero,
 * a number that does not fit becomes the nearest that does; anything but numbers is JSCAN_UNEXPECTED).  When `each`
 * returns false the function does too, at once, with `error` still JSCAN_OK: the scanner stands behind that element,
 * inside the array, and start/token_len are the element. */
typedef bool (*jscan_int_cb)(void *arg, int64_t value);
bool jscan_int_array(struct jscan *s, jscan_int_cb each, void *arg);

/* The same in blocks, to walk two arrays side by side: the first call opens the array, each call stores up to `max`
 * integers and returns how many; 0: the array is over.  Negative: error. */
int jscan_int_block(struct jscan *s, int64_t *values, int max);

/* Line and column (both from 1, columns count bytes) of a position in the text. */
void jscan_position(const struct jscan *s, size_t pos, unsigned *ret_line, unsigned *ret_column);

/* "unexpected character 'x'", "the text ends too early", … for the error; a static string or one in `space`. */
const char *jscan_error_text(const struct jscan *s, char space[static 64]);
