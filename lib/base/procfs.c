#include "lib/base/procfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"

enum {
    STAT_BYTES = 1024,
    DESCENT_MAX = 64,
    TCP_LISTEN = 10,
    SOCKETS_MAX = 64,
    LISTENERS_MAX = 4096
};

/* ---- stat ------------------------------------------------------------------------------------ */

/* `text` is /proc/PID/stat.  The program's name may hold anything, so fields count from the last ')'. */
static int read_stat(const char *text, struct proc_stat *ret_stat)
{
    const char *rest = strrchr(text, ')');
    if (!rest)
        return -EINVAL;
    struct proc_stat st = {0};
    unsigned long long utime, stime, start, rss;
    int ppid, pgrp, session;
    /* fields 3 state, 4 ppid, 5 pgrp, 6 session, …, 14 utime, 15 stime, …, 20 threads, 22 starttime, 24 rss */
    int n = sscanf(
        rest + 1,
        " %c %d %d %d %*d %*d %*u %*u %*u %*u %*u %llu %llu %*d %*d %*d %*d %u %*d %llu %*u %llu",
        &st.state, &ppid, &pgrp, &session, &utime, &stime, &st.threads, &start, &rss);
    if (n != 9)
        return -EINVAL;
    st.ppid = ppid;
    st.pgrp = pgrp;
    st.session = session;
    st.cpu_ticks = utime + stime;
    st.start_ticks = start;
    st.rss_bytes = rss * (uint64_t)sysconf(_SC_PAGESIZE);
    *ret_stat = st;
    return 0;
}

static int pread_stat(int fd, struct proc_stat *ret_stat)
{
    char text[STAT_BYTES];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n < 0)
        return -errno;
    text[n] = '\0';
    return read_stat(text, ret_stat);
}

static int open_proc(pid_t pid, const char *file, int flags)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
    int fd = open(path, flags | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int procfs_stat(pid_t pid, struct proc_stat *ret_stat)
{
    AUTOCLOSE int fd = open_proc(pid, "stat", O_RDONLY);
    return fd < 0 ? fd : pread_stat(fd, ret_stat);
}

/* ---- descriptors ------------------------------------------------------------------------------- */

static int count_entries(int fd)
{
    DIR *dir = fdopendir(fd);
    int count = 0;
    if (!dir) {
        int r = -errno;
        (void)close(fd);
        return r;
    }
    for (struct dirent *entry; (entry = readdir(dir));)
        count += entry->d_name[0] != '.';
    (void)closedir(dir);
    return count;
}

/* Since Linux 6.2 the folder's size is the number. */
int procfs_count_fds(pid_t pid)
{
    struct stat st;
    AUTOCLOSE int fd = open_proc(pid, "fd", O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd;
    if (fstat(fd, &st) == 0 && st.st_size > 0)
        return (int)st.st_size;
    return count_entries(TAKE_FD(fd));
}

/* ---- status ---------------------------------------------------------------------------------- */

/* The text after "Name:\t" in /proc/PID/status, cut at the buffer's end. */
static int read_status(pid_t pid, const char *name, char *ret_value, size_t size)
{
    int fd = open_proc(pid, "status", O_RDONLY);
    if (fd < 0)
        return fd;
    AUTOFCLOSE FILE *f = fdopen(fd, "r");
    if (!f) {
        (void)close(fd);
        return -ENOMEM;
    }
    /* The line of groups may be far longer than this; its pieces are numbers, which no name looks like. */
    char line[512];
    size_t len = strlen(name);
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, name, len) != 0 || line[len] != ':')
            continue;
        (void)snprintf(ret_value, size, "%.*s", (int)strcspn(line + len + 1, "\n"), line + len + 1);
        return 0;
    }
    return ferror(f) ? -errno : -ENODATA;
}

int procfs_catches(pid_t pid, int sig)
{
    char value[64];
    int r = read_status(pid, "SigCgt", value, sizeof value);
    if (r < 0)
        return r;
    return (strtoull(value, NULL, 16) >> (sig - 1)) & 1;
}

int procfs_ids(pid_t pid, uid_t *ret_uid, gid_t *ret_gid)
{
    char value[64];
    int r = read_status(pid, "Uid", value, sizeof value);
    if (r < 0)
        return r;
    uid_t uid = (uid_t)strtoul(value, NULL, 10);
    r = read_status(pid, "Gid", value, sizeof value);
    if (r < 0)
        return r;
    *ret_uid = uid;
    *ret_gid = (gid_t)strtoul(value, NULL, 10);
    return 0;
}

bool procfs_descends(pid_t pid, pid_t ancestor)
{
    struct proc_stat st;
    for (int i = 0; i < DESCENT_MAX && pid > 1; i++) {
        if (pid == ancestor)
            return true;
        if (procfs_stat(pid, &st) < 0)
            return false;
        pid = st.ppid;
    }
    return false;
}

/* ---- environ, exe ------------------------------------------------------------------------------ */

int procfs_environment(pid_t pid, struct strlist *env)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_CONTROL_LINE);
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    int r = path_read(path, &text);
    if (r < 0)
        return r;
    const char *entry = buf_str(&text), *end = entry + text.len;
    for (; entry < end; entry += strlen(entry) + 1)
        strlist_add(env, entry);
    return 0;
}

void procfs_program(pid_t pid, char *ret_name, size_t size)
{
    static const char gone[] = " (deleted)";
    char path[64], target[PATH_MAX];
    (void)snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    ssize_t len = readlink(path, target, sizeof target - 1);
    target[len > 0 ? len : 0] = '\0';
    if (str_ends(target, gone))
        target[strlen(target) - strlen(gone)] = '\0';
    (void)snprintf(ret_name, size, "%s", path_base(target));
}

/* ---- listening ports ------------------------------------------------------------------------- */

struct listener {
    unsigned long inode;
    unsigned port;
};

/* Collects the sockets that listen on `port` (0: on any) in one of the process's own network tables. */
static size_t read_listeners(pid_t pid, const char *table, unsigned port, struct listener *found,
                             size_t max)
{
    int fd = open_proc(pid, table, O_RDONLY);
    if (fd < 0)
        return 0;
    AUTOFCLOSE FILE *f = fdopen(fd, "r");
    if (!f) {
        (void)close(fd);
        return 0;
    }
    size_t count = 0;
    char line[512];
    while (count < max && fgets(line, sizeof line, f)) {
        unsigned local_port, state;
        unsigned long inode;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*[0-9A-Fa-f]:%*x %x %*s %*s %*s %*d %*d %lu",
                   &local_port, &state, &inode) != 3)
            continue;
        if (state == TCP_LISTEN && (port == 0 || local_port == port))
            found[count++] = (struct listener){.inode = inode, .port = local_port};
    }
    return count;
}

/* The inode of the socket that a descriptor in the folder /proc/PID/fd (open as `dir_fd`) is; 0 for anything else. */
static unsigned long socket_inode(int dir_fd, const char *name)
{
    char target[64];
    unsigned long inode;
    ssize_t len = readlinkat(dir_fd, name, target, sizeof target - 1);
    if (len <= 0)
        return 0;
    target[len] = '\0';
    return sscanf(target, "socket:[%lu]", &inode) == 1 ? inode : 0;
}

/* Keeps those of the listeners that the process holds; how many are left, or -errno. */
static int keep_held(pid_t pid, struct listener *found, size_t count)
{
    int fd = open_proc(pid, "fd", O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        int r = -errno;
        (void)close(fd);
        return r;
    }
    size_t held = 0;
    for (struct dirent *entry; held < count && (entry = readdir(dir));) {
        unsigned long inode = socket_inode(fd, entry->d_name);
        for (size_t i = held; inode && i < count; i++) {
            if (found[i].inode != inode)
                continue;
            struct listener kept = found[i];
            found[i] = found[held];
            found[held++] = kept;
            break;
        }
    }
    (void)closedir(dir);
    return (int)held;
}

static int held_listeners(pid_t pid, unsigned port, struct listener *found, size_t max)
{
    size_t count = read_listeners(pid, "net/tcp", port, found, max);
    count += read_listeners(pid, "net/tcp6", port, found + count, max - count);
    return count == 0 ? 0 : keep_held(pid, found, count);
}

int procfs_listens(pid_t pid, unsigned port)
{
    struct listener found[SOCKETS_MAX];
    int r = port ? held_listeners(pid, port, found, SOCKETS_MAX) : 0;
    return r > 0 ? 1 : r;
}

pid_t procfs_find(procfs_match_cb matches, void *arg)
{
    DIR *dir = opendir("/proc");
    pid_t found = 0;
    if (!dir)
        return 0;
    for (struct dirent *entry; !found && (entry = readdir(dir));) {
        struct proc_stat st;
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0 && procfs_stat(pid, &st) == 0 && matches(arg, pid, &st))
            found = pid;
    }
    (void)closedir(dir);
    return found;
}

struct group_search {
    pid_t pgid;
};

static bool is_living_member(void *arg, pid_t pid, const struct proc_stat *st)
{
    const struct group_search *search = arg;
    return st->pgrp == search->pgid && st->state != 'Z' && st->state != 'X';
}

bool procfs_group_alive(pid_t pgid)
{
    struct group_search search = {.pgid = pgid};
    return procfs_find(is_living_member, &search) > 0;
}

struct port_search {
    pid_t pgid;
    pid_t also;
    struct listener *listeners; /* all of the host */
    size_t listener_count;
    struct proc_port *ports;
    size_t count;
    size_t max;
};

static bool add_ports(void *arg, pid_t pid, const struct proc_stat *st)
{
    struct port_search *search = arg;
    if (st->pgrp != search->pgid && pid != search->also)
        return false;
    /* Those that this process holds come to the front; the rest stays for the others. */
    int held = keep_held(pid, search->listeners, search->listener_count);
    for (int i = 0; i < held && search->count < search->max; i++)
        search->ports[search->count++] =
            (struct proc_port){.pid = pid, .port = search->listeners[i].port};
    return search->count == search->max;
}

size_t procfs_group_ports(pid_t pgid, pid_t also, struct proc_port *ret_ports, size_t max)
{
    AUTOFREE struct listener *found = xcalloc(LISTENERS_MAX, sizeof *found);
    struct port_search search = {
        .pgid = pgid, .also = also, .listeners = found, .ports = ret_ports, .max = max};
    size_t count = read_listeners(also, "net/tcp", 0, found, LISTENERS_MAX);
    search.listener_count =
        count + read_listeners(also, "net/tcp6", 0, found + count, LISTENERS_MAX - count);
    if (search.listener_count > 0)
        (void)procfs_find(add_ports, &search);
    return search.count;
}

bool procfs_same_program(pid_t a, pid_t b)
{
    struct stat st_a, st_b;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/exe", (int)a);
    if (stat(path, &st_a) < 0)
        return false;
    (void)snprintf(path, sizeof path, "/proc/%d/exe", (int)b);
    return stat(path, &st_b) == 0 && st_a.st_dev == st_b.st_dev && st_a.st_ino == st_b.st_ino;
}

/* ---- meter ----------------------------------------------------------------------------------- */

static uint64_t monotonic_ns(clockid_t id)
{
    struct timespec now;
    (void)clock_gettime(id, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void proc_meter_init(struct proc_meter *m)
{
    *m = (struct proc_meter){.stat_fd = -1};
}

int proc_meter_open(struct proc_meter *m, pid_t pid)
{
    proc_meter_clear(m);
    int fd = open_proc(pid, "stat", O_RDONLY);
    if (fd < 0)
        return fd;
    struct proc_stat st;
    int r = pread_stat(fd, &st);
    if (r < 0) {
        (void)close(fd);
        return r;
    }
    m->pid = pid;
    m->stat_fd = fd;
    /* The first reading covers the time since the start; start_ticks counts from boot. */
    uint64_t age_ns = monotonic_ns(CLOCK_BOOTTIME) -
                      st.start_ticks * (1000000000u / (uint64_t)sysconf(_SC_CLK_TCK));
    m->last_ns = monotonic_ns(CLOCK_MONOTONIC) - age_ns;
    return 0;
}

int proc_meter_read(struct proc_meter *m, uint64_t *ret_rss_bytes, double *ret_cpu_percent)
{
    struct proc_stat st;
    if (m->stat_fd < 0)
        return -ESRCH;
    int r = pread_stat(m->stat_fd, &st);
    if (r < 0)
        return r;
    uint64_t now = monotonic_ns(CLOCK_MONOTONIC);
    double elapsed = (double)(now - m->last_ns) / 1e9;
    double used = (double)(st.cpu_ticks - m->last_ticks) / (double)sysconf(_SC_CLK_TCK);
    *ret_cpu_percent = elapsed > 0.001 ? 100.0 * used / elapsed : 0.0;
    *ret_rss_bytes = st.rss_bytes;
    m->last_ticks = st.cpu_ticks;
    m->last_ns = now;
    m->threads = st.threads;
    return 0;
}

void proc_meter_clear(struct proc_meter *m)
{
    if (m->stat_fd >= 0)
        (void)close(m->stat_fd);
    proc_meter_init(m);
}
