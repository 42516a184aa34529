/* procfs.h -- what /proc says about a process: identity, use of CPU and memory, signals, listening ports. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct proc_stat {
    char state; /* R, S, D, Z, … */
    pid_t ppid;
    pid_t pgrp;
    pid_t session;
    uint64_t cpu_ticks;   /* user + system time, in clock ticks */
    uint64_t start_ticks; /* since boot; (pid, start_ticks) names a process for ever */
    unsigned threads;
    uint64_t rss_bytes;
};

/* Returns 0 or -errno (-ENOENT, -ESRCH: gone). */
int procfs_stat(pid_t pid, struct proc_stat *ret_stat);

/* How many descriptors the process has open, or -errno. */
int procfs_count_fds(pid_t pid);

/* Does the process have a handler for `sig` (bit in SigCgt)?  Returns 1, 0, or -errno. */
int procfs_catches(pid_t pid, int sig);

/* The real uid and gid of a process. */
int procfs_ids(pid_t pid, uid_t *ret_uid, gid_t *ret_gid);

/* What the process was started with (or says now; it may have written over it), added to `env`. */
struct strlist;
int procfs_environment(pid_t pid, struct strlist *env);

/* The name of its program's file, without its folder; "" when that cannot be read. */
void procfs_program(pid_t pid, char *ret_name, size_t size);

/* Is a TCP socket of `pid` listening on 127.0.0.1:port (or any address)?  Returns 1, 0, or -errno. */
int procfs_listens(pid_t pid, unsigned port);

/* The first process of which `matches` is true; 0: none.  Looks through all of /proc. */
typedef bool (*procfs_match_cb)(void *arg, pid_t pid, const struct proc_stat *st);
pid_t procfs_find(procfs_match_cb matches, void *arg);

/* Has the group a member that is not a zombie?  Looks through all of /proc. */
bool procfs_group_alive(pid_t pgid);

/* Who listens where, of the group `pgid` and the process `also`: how many were found (at most `max`).  Reads the tables
 * once and looks through all of /proc, so that it is dear, but its price does not grow with the questions. */
struct proc_port {
    pid_t pid;
    unsigned port;
};
size_t procfs_group_ports(pid_t pgid, pid_t also, struct proc_port *ret_ports, size_t max);

/* Do two processes run the same program file? */
bool procfs_same_program(pid_t a, pid_t b);

/* Is `pid` the process `ancestor` or one of its descendants? */
bool procfs_descends(pid_t pid, pid_t ancestor);

/* CPU use between two readings of one process. */
struct proc_meter {
    pid_t pid;
    int stat_fd;         /* kept open: a pread costs half of open + read + close */
    uint64_t last_ticks; /* all of its life, up to the last reading */
    uint64_t last_ns;    /* monotonic */
    unsigned threads;    /* at the last reading */
};

void proc_meter_init(struct proc_meter *m);
int proc_meter_open(struct proc_meter *m, pid_t pid);

/* Reads again: bytes resident, and CPU in percent of one core since the reading before (since the start of the process
 * for the first). */
int proc_meter_read(struct proc_meter *m, uint64_t *ret_rss_bytes, double *ret_cpu_percent);
void proc_meter_clear(struct proc_meter *m);
