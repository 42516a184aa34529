/* spawn.h -- starting a program without copying our address space.
 *
 * clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD) on a stack of its own: the cost does not grow with our memory, the parent
 * sleeps until the child has exec'ed, and the child writes its own pid into the caller's record before it execs, so
 * that a parent killed in between never loses a child (facts: uv_spawn copies page tables and gives no pidfd). */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

enum { SPAWN_FDS_MAX = 16 };

struct spawn {
    const char *file;       /* absolute path of the program */
    char *const *argv;      /* NULL-terminated, argv[0] included */
    char *const *envp;      /* NULL-terminated */
    const char *cwd;        /* NULL: ours */
    int fds[SPAWN_FDS_MAX]; /* the child's descriptor i is a copy of fds[i]; -1: /dev/null */
    unsigned fd_count;      /* at least 3 in practice; every other descriptor is closed */
    bool new_session;       /* setsid(): own process group, no terminal */
    bool set_ids;           /* become uid, gid with groups[] as supplementary groups (root only) */
    uid_t uid;
    gid_t gid;
    const gid_t *groups;
    size_t group_count;
    bool dies_with_us;         /* SIGKILL for the child when the thread that starts it ends */
    unsigned long nofile_soft; /* RLIMIT_NOFILE's soft limit for the child; 0: ours */
    pid_t *pid_slot;           /* the child writes its pid here before it execs; NULL: nowhere */
};

/* What the child was doing when it failed, for the error sentence. */
enum spawn_step { SPAWN_CLONE, SPAWN_FDS, SPAWN_CWD, SPAWN_IDS, SPAWN_EXEC };
const char *spawn_step_text(enum spawn_step step); /* "cannot run the program", … */

/* Returns 0 with the pid and a pidfd (close-on-exec, owned by the caller), or -errno and the step that failed; then
 * no child is left and *pid_slot is 0. All signals are at their defaults and unblocked in the child. */
int spawn_start(const struct spawn *s, pid_t *ret_pid, int *ret_pidfd,
                enum spawn_step *reterr_step);

/* The soft RLIMIT_NOFILE we were started with; raises ours to the hard limit the first time it is called. */
unsigned long spawn_raise_nofile(void);

/* Puts it back, before an exec of our own. */
void spawn_lower_nofile(void);
