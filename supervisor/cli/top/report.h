/* report.h -- what `proctor top` prints: a profile's most expensive functions as a table or as
 * JSON. */
#pragma once

#include <stddef.h>

struct buf;
struct profile;
struct profile_table;

struct report {
    const struct profile *profile;
    const struct profile_table *table;
    size_t limit;    /* rows */
    unsigned width;  /* of the terminal; 0: lines may have any length */
    const char *cwd; /* locations below it are shown relative to it */
};

/* Each appends to `out` and returns 0 or what buf_add() returns. */
int report_text(struct buf *out, const struct report *report);

/* The table of lib/profile/view.h and a newline. */
int report_json(struct buf *out, const struct report *report);
