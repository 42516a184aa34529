#include "supervisor/proc_tree.h"

#include <dirent.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/mem.h"
#include "lib/base/procfs.h"

enum { ANCESTORS_MAX = 32, ROOM_FIRST = 256 };

struct proc_tree_member {
    pid_t pid;
    pid_t root;
    uint64_t start_ticks;
};

struct look {
    const struct proc_tree *before;
    struct proc_tree_root *roots;
    size_t root_count;
    struct proc_tree now;
    size_t stranger_room;
    size_t member_room;
};

/* ---- sorted arrays, whose elements begin with a pid -------------------------------------------- */

static int by_pid(const void *a, const void *b)
{
    pid_t left, right;
    (void)memcpy(&left, a, sizeof left);
    (void)memcpy(&right, b, sizeof right);
    return (left > right) - (left < right);
}

static void *find(pid_t pid, const void *items, size_t count, size_t size)
{
    return count ? bsearch(&pid, items, count, size, by_pid) : NULL;
}

static struct proc_tree_root *find_root(const struct look *l, pid_t pid)
{
    return find(pid, l->roots, l->root_count, sizeof *l->roots);
}

static const struct proc_tree_member *find_member(const struct proc_tree *t, pid_t pid)
{
    return find(pid, t->members, t->member_count, sizeof *t->members);
}

static bool is_stranger(const struct proc_tree *t, pid_t pid)
{
    return find(pid, t->strangers, t->stranger_count, sizeof *t->strangers) != NULL;
}

/* Room for one more. */
static void *grow(void *items, size_t count, size_t *room, size_t size)
{
    if (count < *room)
        return items;
    *room = *room ? 2 * *room : ROOM_FIRST;
    return xreallocarray(items, *room, size);
}

static void add_stranger(struct look *l, pid_t pid)
{
    struct proc_tree *t = &l->now;
    t->strangers = grow(t->strangers, t->stranger_count, &l->stranger_room, sizeof *t->strangers);
    t->strangers[t->stranger_count++] = pid;
}

static void add_member(struct look *l, struct proc_tree_root *root, pid_t pid,
                       const struct proc_stat *st)
{
    struct proc_tree *t = &l->now;
    t->members = grow(t->members, t->member_count, &l->member_room, sizeof *t->members);
    t->members[t->member_count++] =
        (struct proc_tree_member){.pid = pid, .root = root->pid, .start_ticks = st->start_ticks};
    root->rss_bytes += st->rss_bytes;
    root->processes++;
}

/* ---- whose it is ------------------------------------------------------------------------------- */

static struct proc_tree_root *root_of_member(const struct look *l, pid_t pid, uint64_t start_ticks)
{
    const struct proc_tree_member *m = find_member(l->before, pid);
    return m && m->start_ticks == start_ticks ? find_root(l, m->root) : NULL;
}

/* Goes up to a root, to a member, or to somebody who is known to be nobody's. */
static struct proc_tree_root *root_above(const struct look *l, pid_t pid,
                                         const struct proc_stat *child)
{
    struct proc_stat st = *child;
    for (int i = 0; i < ANCESTORS_MAX && st.ppid > 1; i++) {
        pid_t parent = st.ppid;
        if (parent == l->before->reaper)
            return find_root(l, l->before->whose(l->before->arg, pid));
        struct proc_tree_root *root = find_root(l, parent);
        if (root)
            return root;
        if (is_stranger(l->before, parent) || procfs_stat(parent, &st) < 0)
            return NULL;
        root = root_of_member(l, parent, st.start_ticks);
        if (root)
            return root;
        pid = parent;
    }
    return NULL;
}

static struct proc_tree_root *root_of(const struct look *l, pid_t pid, const struct proc_stat *st)
{
    struct proc_tree_root *root = find_root(l, st->session);
    if (!root)
        root = root_of_member(l, pid, st->start_ticks);
    return root ? root : root_above(l, pid, st);
}

static void look_at(struct look *l, pid_t pid)
{
    struct proc_stat st;
    if (find_root(l, pid))
        return;
    if (is_stranger(l->before, pid)) {
        add_stranger(l, pid);
        return;
    }
    if (procfs_stat(pid, &st) < 0)
        return;
    struct proc_tree_root *root = root_of(l, pid, &st);
    if (root && st.state != 'Z')
        add_member(l, root, pid, &st);
    else if (!root)
        add_stranger(l, pid);
}

void proc_tree_look(struct proc_tree *t, struct proc_tree_root *roots, size_t count)
{
    struct look l = {.before = t, .roots = roots, .root_count = count, .now = *t};
    l.now.strangers = NULL;
    l.now.members = NULL;
    l.now.stranger_count = l.now.member_count = 0;
    qsort(roots, count, sizeof *roots, by_pid);
    for (size_t i = 0; i < count; i++)
        roots[i].rss_bytes = roots[i].processes = 0;
    DIR *dir = opendir("/proc");
    if (!dir)
        return;
    for (struct dirent *entry; (entry = readdir(dir));) {
        pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);
        if (pid > 0)
            look_at(&l, pid);
    }
    (void)closedir(dir);
    /* The kernel names them in this order already. */
    if (l.now.stranger_count)
        qsort(l.now.strangers, l.now.stranger_count, sizeof *l.now.strangers, by_pid);
    if (l.now.member_count)
        qsort(l.now.members, l.now.member_count, sizeof *l.now.members, by_pid);
    free(t->strangers);
    free(t->members);
    *t = l.now;
}

void proc_tree_clear(struct proc_tree *t)
{
    free(t->strangers);
    free(t->members);
    *t = (struct proc_tree){0};
}
