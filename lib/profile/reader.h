/* reader.h -- what the readers of V8's two JSON formats share: the scanner, the errors, and the
 * callFrame object. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "lib/base/buf.h"
#include "lib/base/jscan.h"

struct profile;
struct profile_error;

struct reader {
    struct jscan s;
    struct profile *profile;
    struct profile_error *error;
    struct buf name; /* a name or URL with escapes, decoded */
    struct buf url;
};

void reader_init(struct reader *r, struct profile *p, const char *text, size_t len,
                 struct profile_error *error);
void reader_clear(struct reader *r);

/* Each fills the error and returns a negative code.  Of the place given, of the last token, of the
 * scanner's own error, and of a full or exhausted memory. */
int reader_fail_at(struct reader *r, size_t offset, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int reader_fail(struct reader *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int reader_syntax(struct reader *r);
int reader_full(struct reader *r, int code);

static inline size_t reader_offset(const struct reader *r)
{
    return (size_t)(r->s.start - r->s.text);
}

/* The next token, which must be `token`: `what` names the value and its type ("\"nodes\" is no
 * array"). */
int reader_expect(struct reader *r, enum jscan_token token, const char *what);

/* The number that follows, rounded towards zero; anything else, or one outside min..max, is an
 * error about `key`. */
int reader_int(struct reader *r, const char *key, int64_t min, int64_t max, int64_t *ret_value);

/* Skips the value that follows. */
int reader_skip(struct reader *r);

/* Reads the callFrame object that follows as a function of the profile. */
int reader_frame(struct reader *r, uint32_t *ret_function);

/* Is the last key this literal?  What jscan_is() does, without a call for nearly all keys. */
#define READER_KEY(r, literal)                                                                     \
    ((r)->s.escaped ? jscan_is(&(r)->s, literal)                                                   \
                    : (r)->s.token_len == sizeof(literal) - 1 &&                                   \
                          memcmp((r)->s.start, literal, sizeof(literal) - 1) == 0)
