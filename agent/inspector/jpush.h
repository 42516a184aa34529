/* jpush.h -- a push scanner for JSON text that comes in pieces of any size and is never whole in memory.
 *
 * It checks the grammar of RFC 8259 (not the UTF-8 inside strings), wants one object at the top, and tells its owner
 * where the values near the top begin and end; what lies deeper is only checked.  It builds nothing and allocates
 * nothing. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    JPUSH_EVENT_DEPTH = 2, /* values deeper than this are not told */
    JPUSH_TEXT = 64,       /* bytes kept of a key or scalar near the top */
    JPUSH_MAX_DEPTH = 4096,
};

enum jpush_event {
    JPUSH_KEY,   /* a member's name was read: it is in `text` */
    JPUSH_BEGIN, /* `at` is the first byte of a value */
    JPUSH_END, /* `at` is one past the last byte of that value; `text` is a scalar's text, strings without quotes */
};

/* `at` points into the piece that is being fed, or to its end.  A negative return ends the scan with that value. */
typedef int (*jpush_cb)(void *arg, enum jpush_event event, const char *at);

struct jpush {
    unsigned depth; /* of the value that an event is about: 1 for a member of the top object */
    char text
        [JPUSH_TEXT]; /* raw (escapes as they were sent), cut when longer, always followed by a NUL */
    size_t text_len;
    /* private */
    jpush_cb cb;
    void *arg;
    unsigned char state;
    unsigned char number;                 /* how far the number is */
    unsigned char hex;                    /* digits of a \u escape that are still to come */
    bool is_key;                          /* the string being read is a member's name */
    const char *literal;                  /* what is still to come of true, false or null */
    uint64_t kinds[JPUSH_MAX_DEPTH / 64]; /* one bit per level: object or array */
};

void jpush_init(struct jpush *p, jpush_cb cb, void *arg);

/* Reads the next piece.  Returns 0, ERR_SYNTAX, ERR_TOO_BIG (nested too deep), or what the callback returned.  After an
 * error only jpush_init() may follow. */
int jpush_feed(struct jpush *p, const char *data, size_t len);

/* Has one whole object been read, with nothing but blanks behind it? */
bool jpush_done(const struct jpush *p);
