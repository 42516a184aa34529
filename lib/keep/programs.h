/* programs.h -- which program the next start runs: what lies at the path, or the one that lay there before and had been up.  Both
 * are held by descriptors, so that a deleted or replaced file can still be run. */
#pragma once

#include <stdbool.h>

struct keep_programs {
    const char *path;
    int fds[2];  /* of the path, of the one before; -1 */
    int use;     /* of the next start; 1: rolled back */
    bool proven; /* fds[0] has been up */
};

/* Before each start.  When another file lies at the path, that is the one to use from now on. */
void keep_programs_look(struct keep_programs *p);
/* The one that runs came up. */
void keep_programs_up(struct keep_programs *p);
/* It does not come up: the other one from now on, if there is one. */
void keep_programs_other(struct keep_programs *p);
/* An upgrade: what lies at the path, also when that has failed before. */
void keep_programs_newest(struct keep_programs *p);
/* Becomes that program; returns only on failure, with -errno. */
int keep_programs_exec(const struct keep_programs *p, char *const argv[]);
/* Sets or clears FD_CLOEXEC of both. */
void keep_programs_inherit(const struct keep_programs *p, int flags);
/* Does this command end with 0?  Waits for it, at most 5 s. */
bool keep_programs_try(char *const argv[]);
