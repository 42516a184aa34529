#include "supervisor/slots.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/procfs.h"

enum { SLOTS_MAGIC = 0x70726f63, SLOTS_VERSION = 1 };

struct slots_file {
    uint32_t magic;
    uint32_t version;
    uint32_t slot_size;
    uint32_t slot_count;
    struct slot slots[LIMIT_INSTANCES];
};

static int check_header(struct slots_file *file)
{
    if (file->magic == 0) {
        file->magic = SLOTS_MAGIC;
        file->version = SLOTS_VERSION;
        file->slot_size = sizeof(struct slot);
        file->slot_count = LIMIT_INSTANCES;
    }
    bool ours = file->magic == SLOTS_MAGIC && file->version == SLOTS_VERSION &&
                file->slot_size == sizeof(struct slot) && file->slot_count == LIMIT_INSTANCES;
    return ours ? 0 : -EPROTO;
}

/* All its blocks are there from the start: a full disk is an error here, and not a SIGBUS in the middle.  Never shorter than
 * it is: another version may have made it. */
static int grow(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size > (off_t)sizeof(struct slots_file))
        return 0;
    return -posix_fallocate(fd, 0, sizeof(struct slots_file));
}

int slots_open(struct slots *s, const char *path)
{
    AUTOCLOSE int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int r = grow(fd);
    if (r < 0)
        return r;
    struct slots_file *file = mmap(NULL, sizeof *file, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (file == MAP_FAILED)
        return -errno;
    r = check_header(file);
    if (r < 0) {
        (void)munmap(file, sizeof *file);
        return r;
    }
    s->file = file;
    s->fd = TAKE_FD(fd);
    return 0;
}

void slots_close(struct slots *s)
{
    if (!s->file)
        return;
    (void)munmap(s->file, sizeof *s->file);
    (void)close(s->fd);
    *s = (struct slots){.fd = -1};
}

struct slot *slots_take(struct slots *s, const char *app, unsigned instance)
{
    for (unsigned i = 0; i < LIMIT_INSTANCES; i++) {
        struct slot *slot = &s->file->slots[i];
        if (slot->used)
            continue;
        *slot = (struct slot){.used = 1, .instance = instance};
        (void)snprintf(slot->app, sizeof slot->app, "%s", app);
        return slot;
    }
    return NULL;
}

void slots_release(struct slot *slot)
{
    if (slot)
        *slot = (struct slot){0};
}

static bool still_runs(const struct slot *slot)
{
    struct proc_stat st;
    if (!slot->used || slot->pid <= 0 || procfs_stat(slot->pid, &st) < 0 || st.state == 'Z')
        return false;
    /* A supervisor that was killed between clone and bookkeeping left no start time: then the session, which
     * only our children have as their own pid, must do. */
    return slot->start_ticks ? st.start_ticks == slot->start_ticks : st.pgrp == slot->pid;
}

size_t slots_survivors(struct slots *s, slots_survivor_cb each, void *arg)
{
    size_t count = 0;
    for (unsigned i = 0; i < LIMIT_INSTANCES; i++) {
        struct slot *slot = &s->file->slots[i];
        slot->app[sizeof slot->app - 1] = '\0';
        if (!still_runs(slot))
            continue;
        count++;
        each(arg, slot);
    }
    return count;
}

void slots_forget(struct slots *s)
{
    for (unsigned i = 0; i < LIMIT_INSTANCES; i++)
        if (s->file->slots[i].used)
            slots_release(&s->file->slots[i]);
}
