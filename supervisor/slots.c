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

enum {
    SLOTS_MAGIC = 0x70726f63,
    SLOTS_MAJOR = 2,
#ifdef PROCTOR_NEXT
    SLOTS_MINOR = 2,
#else
    SLOTS_MINOR = 1,
#endif
    HEAD_BYTES = 4096,
    BOOT_ID_BYTES = 40,
};

struct slots_file {
    uint32_t magic;
    uint32_t major;
    uint32_t slot_bytes;
    uint32_t slot_count;
    uint32_t minor;
    uint32_t high; /* slots from here on were never used: not even looked at */
    char boot_id[BOOT_ID_BYTES];
    uint32_t fresh; /* until slots_settled() */
};

/* The whole mapping. */
enum { FILE_BYTES = HEAD_BYTES + LIMIT_INSTANCES * SLOT_BYTES };

static struct slot *slot_at(const struct slots *s, unsigned i)
{
    return (struct slot *)((char *)s->file + HEAD_BYTES + (size_t)i * SLOT_BYTES);
}

/* ---- the file -------------------------------------------------------------------------------- */

/* Without its hyphens: whoever looks for inspectors' addresses in our files shall not find this. */
static void read_boot_id(char id[static BOOT_ID_BYTES])
{
    char text[64];
    AUTOCLOSE int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, text, sizeof text);
    size_t len = 0;
    (void)memset(id, 0, BOOT_ID_BYTES);
    for (ssize_t i = 0; i < n && len + 1 < BOOT_ID_BYTES; i++)
        if (text[i] != '-' && text[i] != '\n')
            id[len++] = text[i];
}

static void forget_before(struct slots *s)
{
    s->file->fresh = 1;
    slots_forget(s);
}

/* Neither pids nor CLOCK_MONOTONIC mean anything after a reboot. */
static void check_boot(struct slots *s)
{
    char id[BOOT_ID_BYTES];
    read_boot_id(id);
    if (strncmp(s->file->boot_id, id, sizeof id) == 0)
        return;
    forget_before(s);
    (void)memcpy(s->file->boot_id, id, sizeof id);
}

static int check_header(struct slots_file *file)
{
    if (file->magic == 0) {
        file->slot_bytes = SLOT_BYTES;
        file->slot_count = LIMIT_INSTANCES;
        file->major = SLOTS_MAJOR;
        file->minor = SLOTS_MINOR;
        file->fresh = 1;
        __atomic_store_n(&file->magic, SLOTS_MAGIC, __ATOMIC_RELEASE);
    }
    bool ours = file->magic == SLOTS_MAGIC && file->major == SLOTS_MAJOR &&
                file->slot_bytes == SLOT_BYTES && file->slot_count == LIMIT_INSTANCES &&
                file->high <= LIMIT_INSTANCES;
    if (!ours)
        return -EPROTO;
    /* What an older minor has left is zero where we have fields. */
    if ((int)file->minor < SLOTS_MINOR)
        file->minor = SLOTS_MINOR;
    return 0;
}

/* All its blocks are there from the start: a full disk is an error here, and not a SIGBUS in the middle.  Never shorter than
 * it is: another version may have made it.  1: somebody has cut it off. */
static int grow(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size >= FILE_BYTES)
        return 0;
    int r = -posix_fallocate(fd, 0, FILE_BYTES);
    return r == 0 ? st.st_size > 0 : r;
}

int slots_open(struct slots *s, const char *path, int given)
{
    AUTOCLOSE int fd =
        given >= 0 ? given : open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    int cut = grow(fd);
    if (cut < 0)
        return cut;
    struct slots_file *file = mmap(NULL, FILE_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (file == MAP_FAILED)
        return -errno;
    int r = check_header(file);
    if (r < 0) {
        (void)munmap(file, FILE_BYTES);
        return r;
    }
    s->file = file;
    s->fd = TAKE_FD(fd);
    if (cut)
        forget_before(s);
    check_boot(s);
    s->fresh = s->file->fresh;
    return 0;
}

void slots_settled(struct slots *s)
{
    s->file->fresh = s->fresh = false;
}

void slots_close(struct slots *s)
{
    if (!s->file)
        return;
    (void)munmap(s->file, FILE_BYTES);
    (void)close(s->fd);
    *s = (struct slots){.fd = -1};
}

/* ---- slots ----------------------------------------------------------------------------------- */

struct slot *slots_take(struct slots *s, const char *app, unsigned instance, unsigned pm_id)
{
    for (unsigned i = 0; s->file && i < LIMIT_INSTANCES; i++) {
        struct slot *slot = slot_at(s, i);
        if (i < s->file->high && slot->used)
            continue;
        (void)memset(slot, 0, SLOT_BYTES);
        slot->instance = instance;
        slot->pm_id = pm_id;
        (void)snprintf(slot->app, sizeof slot->app, "%s", app);
        __atomic_store_n(&slot->used, 1, __ATOMIC_RELEASE);
        if (i >= s->file->high)
            __atomic_store_n(&s->file->high, i + 1, __ATOMIC_RELEASE);
        return slot;
    }
    return NULL;
}

struct slot *slots_find(struct slots *s, const char *app, unsigned instance)
{
    for (unsigned i = 0; s->file && i < s->file->high; i++) {
        struct slot *slot = slot_at(s, i);
        slot->app[sizeof slot->app - 1] = '\0';
        if (slot->used && slot->instance == instance && strcmp(slot->app, app) == 0)
            return slot;
    }
    return NULL;
}

void slots_release(struct slot *slot)
{
    if (!slot)
        return;
    __atomic_store_n(&slot->used, 0, __ATOMIC_RELEASE);
    (void)memset(slot, 0, SLOT_BYTES);
}

unsigned slots_index(const struct slots *s, const struct slot *slot)
{
    return (unsigned)(((const char *)slot - (const char *)s->file - HEAD_BYTES) / SLOT_BYTES);
}

/* FNV-1a: against a file that somebody has written into, not against malice. */
static uint64_t sum_of(const char *room)
{
    uint64_t sum = 0xcbf29ce484222325u;
    for (size_t i = 0; i < SLOT_SUM_AT; i++)
        sum = (sum ^ (unsigned char)room[i]) * 0x100000001b3u;
    return sum;
}

static bool is_whole(const char *room)
{
    uint64_t sum;
    (void)memcpy(&sum, room + SLOT_SUM_AT, sizeof sum);
    return sum == sum_of(room);
}

int slot_life(const struct slot *slot, struct slot_life *ret_life)
{
    static const char never[SLOT_LIFE_BYTES];
    uint32_t now = slot->current & 1;
    if (memcmp(slot->sides[now].room, never, sizeof never) == 0)
        return -ENOENT;
    if (!is_whole(slot->sides[now].room))
        now = !now;
    if (!is_whole(slot->sides[now].room))
        return -EPROTO;
    *ret_life = slot->sides[now].life;
    return 0;
}

void slot_commit(struct slot *slot, const struct slot_life *life)
{
    uint32_t now = slot->current & 1, next = !now;
    char *room = slot->sides[next].room;
    /* With what a newer minor has behind our fields. */
    (void)memcpy(room, slot->sides[now].room, SLOT_LIFE_BYTES);
    slot->sides[next].life = *life;
    uint64_t sum = sum_of(room);
    (void)memcpy(room + SLOT_SUM_AT, &sum, sizeof sum);
    __atomic_store_n(&slot->current, next, __ATOMIC_RELEASE);
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
    for (unsigned i = 0; i < s->file->high; i++) {
        struct slot *slot = slot_at(s, i);
        slot->app[sizeof slot->app - 1] = '\0';
        if (!still_runs(slot))
            continue;
        count++;
        each(arg, slot);
    }
    return count;
}

void slots_each(struct slots *s, slots_cb each, void *arg)
{
    for (unsigned i = 0; i < s->file->high; i++)
        if (slot_at(s, i)->used)
            each(arg, slot_at(s, i));
}

void slots_forget(struct slots *s)
{
    for (unsigned i = 0; i < s->file->high; i++)
        if (slot_at(s, i)->used)
            slots_release(slot_at(s, i));
}
