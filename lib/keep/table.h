/* table.h -- what the keeper holds: descriptors by name, and exit statuses that nobody has recorded yet; and how much of it the
 * present supervisor has been told.  Fixed size, so that nothing is allocated; untouched room costs no memory. */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "lib/keep/keep.h"

struct keep_table {
    uint32_t count, exit_count;
    uint32_t fds_told, exits_told; /* the first ones, of each */
    bool synced;                   /* … and that these were all */
    struct keep_msg synced_msg;    /* the fields of SYNCED, which are the keeper's affair */
    uint64_t last_seq;
    int fd_max; /* descriptors above it are not kept: the numbers that the keeper needs itself */
    struct keep_record records[KEEP_FDS];
    struct keep_msg exits[KEEP_EXITS];
};

/* Does what STORE, DROP and ACK ask for, and takes `fd`.  -EINVAL, -EMFILE: the descriptor cannot be kept; then nothing is stored
 * under its name, since an old one would be a wrong one.  Only when `synced`. */
int keep_table_obey(struct keep_table *t, const struct keep_msg *msg, int fd);

/* Collects ended children of this process, all but `except`.  When there is no room they stay zombies, so that none is lost. */
void keep_table_reap(struct keep_table *t, pid_t except);

/* A new supervisor: it has been told nothing. */
void keep_table_tell_anew(struct keep_table *t);
/* The next message for it: FD, EXIT, SYNCED, then EXITs as they come.  False: there is none. */
bool keep_table_next(const struct keep_table *t, struct keep_msg *ret_msg, int *ret_fd);
void keep_table_told(struct keep_table *t, const struct keep_msg *msg);

/* Sets or clears FD_CLOEXEC of all descriptors. */
void keep_table_inherit(const struct keep_table *t, int flags);

/* The table as a manifest in a memfd, close-on-exec; the head's other fields are the caller's.  A descriptor or -errno. */
int keep_table_write(const struct keep_table *t, struct keep_manifest_head *head);
/* An empty table takes what the manifest says, and closes it; what it names is close-on-exec then.  0, -errno, -EPROTO. */
int keep_table_read(struct keep_table *t, int manifest, struct keep_manifest_head *ret_head);
