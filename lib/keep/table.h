/* table.h -- what the keeper holds: descriptors by name, and exit statuses that nobody has recorded yet.  Fixed size, so that
 * nothing is allocated; untouched room costs no memory.  The order is the order of storing. */
#pragma once

#include <signal.h>
#include <stdbool.h>

#include "lib/keep/keep.h"

struct keep_table {
    uint32_t count, exit_count;
    uint64_t last_seq;
    struct keep_record records[KEEP_FDS];
    struct keep_msg exits[KEEP_EXITS];
};

/* Takes `fd`, in place of what was stored under the name.  0; -EINVAL, -EMFILE: then `fd` is closed and nothing is stored under
 * the name, since an old descriptor would be a wrong one. */
int keep_table_store(struct keep_table *t, const char *name, int fd);
/* Closes and forgets it; a name that ends in '*' stands for all that begin so. */
void keep_table_drop(struct keep_table *t, const char *name);
/* Sets or clears FD_CLOEXEC of all. */
void keep_table_inherit(const struct keep_table *t, int flags);

bool keep_table_full(const struct keep_table *t); /* no room for one more exit */
/* What waitid() said, at `at_ms` of CLOCK_REALTIME. */
void keep_table_exited(struct keep_table *t, const siginfo_t *info, int64_t at_ms);
/* The exit's place, which those behind it have taken now; -1: there is none of this number. */
int keep_table_acknowledged(struct keep_table *t, uint64_t seq);
