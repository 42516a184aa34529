/* table.h -- a profile's functions with what each cost, the table that people read first.
 *
 * `total` counts recursion once: a function that stands several times on one stack gets that
 * stack's cost once.  The rows leave out (idle), which is no cost, and (root) unless it has a cost
 * of its own. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct function;
struct profile;

enum profile_sort { PROFILE_BY_SELF, PROFILE_BY_TOTAL };

struct profile_row {
    const struct function *function; /* borrowed from the profile */
    uint64_t self;
    uint64_t total;
};

struct profile_table {
    struct profile_row
        *rows; /* greatest first; equal ones by the other figure, then by name and place */
    size_t count;
};

/* Returns 0 or -ENOMEM.  The profile must live as long as the table. */
int profile_table_init(struct profile_table *t, const struct profile *p, enum profile_sort sort);
void profile_table_clear(struct profile_table *t);
