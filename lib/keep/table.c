#include "lib/keep/table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/keep/say.h"

/* ---- descriptors ------------------------------------------------------------------------------ */

/* A name that ends in '*' stands for all that begin so. */
static void drop(struct keep_table *t, const char *name)
{
    size_t len = strlen(name);
    bool many = len > 0 && name[len - 1] == '*';
    uint32_t left = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        struct keep_record *record = &t->records[i];
        if (many ? strncmp(record->name, name, len - 1) == 0 : strcmp(record->name, name) == 0)
            (void)close(record->fd);
        else if (left++ != i)
            t->records[left - 1] = *record;
    }
    t->count = left;
}

static int find(const struct keep_table *t, const char *name)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (strcmp(t->records[i].name, name) == 0)
            return (int)i;
    return -1;
}

static int store(struct keep_table *t, const char *name, int fd)
{
    int at = find(t, name);
    bool full = fd > t->fd_max || (at < 0 && t->count == KEEP_FDS);
    if (fd < 0 || full || !keep_name_valid(name)) {
        if (at >= 0)
            drop(t, name);
        if (fd >= 0)
            (void)close(fd);
        return full ? -EMFILE : -EINVAL;
    }
    if (at >= 0)
        (void)close(t->records[at].fd);
    else
        at = (int)t->count++;
    t->records[at] = (struct keep_record){.fd = fd};
    memcpy(t->records[at].name, name, strlen(name));
    return 0;
}

void keep_table_inherit(const struct keep_table *t, int flags)
{
    for (uint32_t i = 0; i < t->count; i++)
        (void)fcntl(t->records[i].fd, F_SETFD, flags);
}

/* ---- exits ------------------------------------------------------------------------------------ */

void keep_table_reap(struct keep_table *t, pid_t except)
{
    siginfo_t info = {.si_pid = 0};
    while (t->exit_count < KEEP_EXITS &&
           waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid != 0 &&
           info.si_pid != except) {
        t->exits[t->exit_count++] = (struct keep_msg){.version = KEEP_VERSION,
                                                      .type = KEEP_EXIT,
                                                      .seq = ++t->last_seq,
                                                      .pid = info.si_pid,
                                                      .code = info.si_code,
                                                      .status = info.si_status,
                                                      .at_ms = keep_clock_ms(CLOCK_REALTIME)};
        /* Only now: until it is in the table, the kernel holds the status. */
        (void)waitpid(info.si_pid, NULL, 0);
        info.si_pid = 0;
    }
}

static void acknowledge(struct keep_table *t, uint64_t seq)
{
    uint32_t at = 0;
    while (at < t->exits_told && t->exits[at].seq != seq)
        at++;
    if (at == t->exits_told)
        return;
    t->exits_told--;
    t->exit_count--;
    memmove(&t->exits[at], &t->exits[at + 1], (t->exit_count - at) * sizeof *t->exits);
}

/* ---- the supervisor --------------------------------------------------------------------------- */

int keep_table_obey(struct keep_table *t, const struct keep_msg *msg, int fd)
{
    int r = 0;
    if (msg->type == KEEP_STORE)
        r = store(t, msg->name, fd);
    else if (fd >= 0)
        (void)close(fd);
    if (msg->type == KEEP_DROP)
        drop(t, msg->name);
    if (msg->type == KEEP_ACK)
        acknowledge(t, msg->seq);
    t->fds_told = t->synced ? t->count : 0;
    return r;
}

void keep_table_tell_anew(struct keep_table *t)
{
    t->fds_told = t->exits_told = 0;
    t->synced = false;
}

bool keep_table_next(const struct keep_table *t, struct keep_msg *ret_msg, int *ret_fd)
{
    *ret_fd = -1;
    *ret_msg = t->synced_msg;
    ret_msg->version = KEEP_VERSION;
    ret_msg->type = KEEP_SYNCED;
    if (!t->synced && t->fds_told < t->count) {
        const struct keep_record *record = &t->records[t->fds_told];
        ret_msg->type = KEEP_FD;
        memcpy(ret_msg->name, record->name, KEEP_NAME);
        *ret_fd = record->fd;
        return true;
    }
    if (t->exits_told < t->exit_count)
        *ret_msg = t->exits[t->exits_told];
    return ret_msg->type == KEEP_EXIT || !t->synced;
}

void keep_table_told(struct keep_table *t, const struct keep_msg *msg)
{
    t->fds_told += msg->type == KEEP_FD;
    t->exits_told += msg->type == KEEP_EXIT;
    t->synced = t->synced || msg->type == KEEP_SYNCED;
}

/* ---- the next keeper -------------------------------------------------------------------------- */

int keep_table_write(const struct keep_table *t, struct keep_manifest_head *head)
{
    head->records = t->count;
    head->exits = t->exit_count;
    head->next_seq = t->last_seq + 1;
    int fd = memfd_create("manifest", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    int r = keep_manifest_write(fd, head, t->records, t->exits);
    if (r == 0)
        return fd;
    (void)close(fd);
    return r;
}

int keep_table_read(struct keep_table *t, int manifest, struct keep_manifest_head *ret_head)
{
    (void)lseek(manifest, 0, SEEK_SET);
    int r = keep_manifest_read(manifest, ret_head, t->records, KEEP_FDS, t->exits, KEEP_EXITS);
    (void)close(manifest);
    if (r < 0)
        return r;
    t->count = ret_head->records;
    t->exit_count = ret_head->exits;
    t->last_seq = ret_head->next_seq - 1;
    t->synced_msg.starts = ret_head->starts ? ret_head->starts : 1;
    t->synced_msg.status = ret_head->flags & KEEP_UPGRADED ? 0 : KEEP_BECAME_KEEPER;
    t->synced_msg.at_ms = keep_clock_ms(CLOCK_MONOTONIC);
    keep_table_inherit(t, FD_CLOEXEC);
    return 0;
}
