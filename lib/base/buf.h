/* buf.h -- a growing byte buffer whose limit is part of creating it.
 *
 *     struct buf b = BUF_INIT(LIMIT_CONTROL_LINE);
 *
 * Adding past the limit returns ERR_TOO_BIG and changes nothing.  The bytes are always followed by a NUL that is not
 * counted, so text can be used as a C string.  Model: curl's dynbuf, openssh's sshbuf. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data; /* NULL until something was added */
    size_t len;
    size_t cap;
    size_t limit;
};

#define BUF_INIT(limit_bytes)                                                                      \
    {                                                                                              \
        .limit = (limit_bytes)                                                                     \
    }
#define AUTOBUF __attribute__((cleanup(buf_clear)))

void buf_init(struct buf *b, size_t limit);

/* Frees the storage; the buffer is empty and usable afterwards, with the same limit. */
void buf_clear(struct buf *b);

/* Empties it, keeping the storage. */
void buf_reset(struct buf *b);

/* Each returns 0, ERR_TOO_BIG, or -ENOMEM. */
int buf_add(struct buf *b, const void *data, size_t len);
int buf_addc(struct buf *b, char c);
int buf_addstr(struct buf *b, const char *s);
int buf_addf(struct buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
int buf_vaddf(struct buf *b, const char *fmt, va_list ap) __attribute__((format(printf, 2, 0)));

/* The text as a JSON string, in its quotes; each byte that is not UTF-8 becomes '?'.  On failure a part may have been
 * added. */
int buf_add_json_string(struct buf *b, const char *s);

/* Makes room for `len` more bytes and returns where to write them in `*ret_space`; buf_added() then counts them. */
int buf_reserve(struct buf *b, size_t len, char **ret_space);
void buf_added(struct buf *b, size_t len);

/* Drops the first `len` bytes (`len` <= b->len). */
void buf_consume(struct buf *b, size_t len);

/* Keeps the first `len` bytes only (`len` <= b->len). */
void buf_cut(struct buf *b, size_t len);

/* The text, never NULL ("" when empty).  Borrowed. */
const char *buf_str(const struct buf *b);

/* Hands the bytes over (never NULL; the caller frees) and leaves the buffer empty. */
char *buf_take(struct buf *b);
