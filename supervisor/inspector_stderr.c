/* Whether what a process writes to its stderr comes to us. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/limits.h"
#include "lib/base/path.h"
#include "lib/base/procfs.h"
#include "supervisor/inspector.h"
#include "supervisor/instance.h"

bool inspector_reads_stderr_of(const struct inspector *i, pid_t pid)
{
    struct stat theirs, ours;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/fd/2", (int)pid);
    return stat(path, &theirs) == 0 && fstat(i->instance->err.pipe_write, &ours) == 0 &&
           theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino;
}

/* A worker is told by NODE_UNIQUE_ID, which Node's cluster module puts into its environment. */
static bool is_cluster_worker(pid_t pid)
{
    char path[64];
    AUTOBUF struct buf text = BUF_INIT(LIMIT_STRING * 2);
    (void)snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
    if (path_read(path, &text) < 0)
        return false;
    return memmem(buf_str(&text), text.len, "NODE_UNIQUE_ID=", strlen("NODE_UNIQUE_ID=")) != NULL;
}

struct worker_search {
    const struct inspector *inspector;
    pid_t primary;
};

static bool is_silent_worker(void *arg, pid_t pid, const struct proc_stat *st)
{
    const struct worker_search *search = arg;
    return st->ppid == search->primary && procfs_same_program(pid, search->primary) &&
           is_cluster_worker(pid) && !inspector_reads_stderr_of(search->inspector, pid);
}

pid_t inspector_silent_worker(const struct inspector *i, pid_t primary)
{
    struct worker_search search = {.inspector = i, .primary = primary};
    return procfs_find(is_silent_worker, &search);
}
