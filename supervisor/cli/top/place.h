/* place.h -- names and locations of a profile as people read them.  Profiles are foreign files:
 * what a terminal would take as a command does not come through. */
#pragma once

#include <stddef.h>

struct buf;
struct function;

/* Appends "name" or "(anonymous)". Each returns 0 or what buf_add() returns. */
int place_add_name(struct buf *out, const struct function *f);

/* Appends "file:line": without file://, and relative when it lies below `cwd`.  Nothing for native
 * code. */
int place_add_location(struct buf *out, const struct function *f, const char *cwd);

/* Appends a text with control characters and bytes that are not UTF-8 as '?'. */
int place_add_plain(struct buf *out, const char *text);

/* Columns of a text in a terminal, one for each character; and where its last `columns` begin, or
 * its first end. */
size_t place_width(const char *text);
const char *place_tail(const char *text, size_t columns);
const char *place_head_end(const char *text, size_t columns);
