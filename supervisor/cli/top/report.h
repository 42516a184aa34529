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

/* {"version":1,"kind","unit","duration_us","samples","all","idle","program","gc","functions":[{"function","url",
 * "line","column","self","total"}]}: names and URLs as V8 wrote them ("" for an anonymous
 * function), lines and columns from 1 (0: unknown), times in microseconds ("unit":"us"), sizes in
 * bytes.  duration_us and samples are 0 for a heap profile. */
int report_json(struct buf *out, const struct report *report);
