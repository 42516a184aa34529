#include "lib/keep/table.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int find(const struct keep_table *t, const char *name)
{
    for (uint32_t i = 0; i < t->count; i++)
        if (strcmp(t->records[i].name, name) == 0)
            return (int)i;
    return -1;
}

int keep_table_store(struct keep_table *t, const char *name, int fd)
{
    if (fd < 0 || !keep_name_valid(name)) {
        keep_table_drop(t, name);
        if (fd >= 0)
            (void)close(fd);
        return -EINVAL;
    }
    int at = find(t, name);
    if (at < 0 && t->count == KEEP_FDS) {
        (void)close(fd);
        return -EMFILE;
    }
    if (at >= 0)
        (void)close(t->records[at].fd);
    else
        at = (int)t->count++;
    struct keep_record *record = &t->records[at];
    *record = (struct keep_record){.fd = fd};
    memcpy(record->name, name, strlen(name));
    return 0;
}

void keep_table_drop(struct keep_table *t, const char *name)
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

void keep_table_inherit(const struct keep_table *t, int flags)
{
    for (uint32_t i = 0; i < t->count; i++)
        (void)fcntl(t->records[i].fd, F_SETFD, flags);
}

bool keep_table_full(const struct keep_table *t)
{
    return t->exit_count == KEEP_EXITS;
}

void keep_table_exited(struct keep_table *t, const siginfo_t *info, int64_t at_ms)
{
    t->exits[t->exit_count++] = (struct keep_msg){.version = KEEP_VERSION,
                                                  .type = KEEP_EXIT,
                                                  .seq = ++t->last_seq,
                                                  .pid = info->si_pid,
                                                  .code = info->si_code,
                                                  .status = info->si_status,
                                                  .at_ms = at_ms};
}

int keep_table_acknowledged(struct keep_table *t, uint64_t seq)
{
    for (uint32_t i = 0; i < t->exit_count; i++) {
        if (t->exits[i].seq != seq)
            continue;
        t->exit_count--;
        memmove(&t->exits[i], &t->exits[i + 1], (t->exit_count - i) * sizeof *t->exits);
        return (int)i;
    }
    return -1;
}
