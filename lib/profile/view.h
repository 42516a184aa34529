/* view.h -- a profile as JSON for pages and programs: the table of its functions, and its call tree cut to what can be seen.
 *
 * Times are microseconds ("unit":"us"), sizes bytes.  Names and URLs are as V8 wrote them ("" for an anonymous function), lines and columns
 * count from 1 (0: unknown).  Both begin with the same head:
 *     {"version":1,"kind":"cpu"|"heap","unit","duration_us","samples","all","idle","program","gc", …
 * where `all` is the sum of everything and `idle` the part of it in which nothing ran (0 for a heap profile). */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct buf;
struct profile;
struct profile_table;

/* Each appends to `out` and returns 0, what buf_add() returns, or -ENOMEM. */

/* … "functions":[{"function","url","line","column","self","total"}], the first `limit` rows of the table. */
int profile_view_table(struct buf *out, const struct profile *p, const struct profile_table *t,
                       size_t limit);

/* … "nodes_in_profile", "functions":[{"function","url","line","column","role"}], "nodes":[[parent, function, self, total], …]}: the root is
 * node 0 with parent -1 and `all - idle` as its total, and a parent stands before its children, which keep the order of the profile.
 * At most `limit` nodes: those with the greatest totals (with a node comes the way to it), none that costs less than 1/20,000 of the whole;
 * what was cut off is the difference between a node's total and its self and children.  (idle) is left out.  role: "" for code, else "root",
 * "program", "gc". */
int profile_view_tree(struct buf *out, const struct profile *p, uint32_t limit);
