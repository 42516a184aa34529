#include "supervisor/log_rotate.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/archive.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/io.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "supervisor/keep_link.h"
#include "supervisor/log_drop.h"
#include "supervisor/log_open.h"
#include "supervisor/logstream.h"

enum {
    RECORDS = 4096, /* of the index, that may belong to the carried line */
    AGAIN_MS = 10000,
};

/* One rotation: all names, and the new descriptors until they are the stream's. */
struct turn {
    struct logstream *s;
    int64_t cut_at;
    int64_t stamp_ms; /* 0: no archive */
    char *index_path, *new_path, *new_index_path;
    char *archive_path, *archive_index_path; /* NULL: no archive */
    int file, index;
};

static int make_file(struct turn *t);
static int make_index(struct turn *t);
static int note(struct turn *t);
static int link_file(struct turn *t);
static int link_index(struct turn *t);
static int switch_file(struct turn *t);
static int switch_index(struct turn *t);
static int cut(struct turn *t);
static int store_file(struct turn *t);
static int store_index(struct turn *t);
static int forget(struct turn *t);

static int (*const steps_in_order[TURN_STEPS])(struct turn *t) = {
    [TURN_MAKE_FILE] = make_file,
    [TURN_MAKE_INDEX] = make_index,
    [TURN_NOTE] = note,
    [TURN_LINK_FILE] = link_file,
    [TURN_LINK_INDEX] = link_index,
    [TURN_SWITCH_FILE] = switch_file,
    [TURN_SWITCH_INDEX] = switch_index,
    [TURN_CUT] = cut,
    [TURN_STORE_FILE] = store_file,
    [TURN_STORE_INDEX] = store_index,
    [TURN_FORGET] = forget,
};

/* ---- small things ---------------------------------------------------------------------------- */

static bool same_file(int fd, const char *path)
{
    struct stat held, named;
    return fstat(fd, &held) == 0 && lstat(path, &named) == 0 && held.st_dev == named.st_dev &&
           held.st_ino == named.st_ino;
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

static void turn_init(struct turn *t, struct logstream *s, int64_t cut_at, int64_t stamp_ms)
{
    *t = (struct turn){.s = s, .cut_at = cut_at, .stamp_ms = stamp_ms, .file = -1, .index = -1};
    t->index_path = xasprintf("%s.idx", s->path);
    t->new_path = xasprintf("%s.new", s->path);
    t->new_index_path = xasprintf("%s.new.idx", s->path);
    if (stamp_ms == 0)
        return;
    t->archive_path = archive_path(s->path, stamp_ms);
    t->archive_index_path = xasprintf("%s.idx", t->archive_path);
}

static void turn_clear(struct turn *t)
{
    if (t->file >= 0)
        (void)close(t->file);
    if (t->index >= 0)
        (void)close(t->index);
    free(t->index_path);
    free(t->new_path);
    free(t->new_index_path);
    free(t->archive_path);
    free(t->archive_index_path);
}

/* ---- before the switch ----------------------------------------------------------------------- */

static int create_new(const char *path, const char *like)
{
    struct stat st;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    /* Whoever was allowed to read the old one may read the new one. */
    if (lstat(like, &st) == 0 && S_ISREG(st.st_mode)) {
        (void)(fchown(fd, st.st_uid, st.st_gid) + 1);
        (void)fchmod(fd, st.st_mode & 0777);
    }
    return fd;
}

static int make_file(struct turn *t)
{
    t->file = create_new(t->new_path, t->s->path);
    return t->file < 0 ? t->file : log_copy_range(t->s->file, t->cut_at, t->s->offset, t->file);
}

/* The times of the carried line: the record before the cut counts from the beginning on. */
static int write_records(struct turn *t, const uint64_t (*records)[2], size_t count)
{
    uint64_t out[2];
    for (size_t i = 0; i < count; i++) {
        bool next_too = i + 1 < count && (int64_t)records[i + 1][1] <= t->cut_at;
        int64_t offset = (int64_t)records[i][1] - t->cut_at;
        if (next_too || t->s->offset == t->cut_at)
            continue;
        out[0] = records[i][0];
        out[1] = offset > 0 ? (uint64_t)offset : 0;
        int r = io_write_all(t->index, out, sizeof out);
        if (r < 0)
            return r;
    }
    return 0;
}

static int make_index(struct turn *t)
{
    AUTOFREE uint64_t(*records)[2] = xcalloc(RECORDS, sizeof *records);
    t->index = create_new(t->new_index_path, t->index_path);
    if (t->index < 0)
        return t->index;
    off_t end = lseek(t->s->index, 0, SEEK_END), most = RECORDS * (off_t)sizeof *records;
    ssize_t n = pread(t->s->index, records, (size_t)most, end > most ? end - most : 0);
    return n <= 0 ? 0 : write_records(t, records, (size_t)n / sizeof *records);
}

static int note(struct turn *t)
{
    t->s->kept->rotated_wall_ms = t->stamp_ms;
    __atomic_store_n(&t->s->kept->cut_at, t->cut_at, __ATOMIC_RELEASE);
    return 0;
}

static int link_fd(int fd, const char *path)
{
    char from[64];
    (void)snprintf(from, sizeof from, "/proc/self/fd/%d", fd);
    return linkat(AT_FDCWD, from, AT_FDCWD, path, AT_SYMLINK_FOLLOW) < 0 ? -errno : 0;
}

static int link_file(struct turn *t)
{
    return t->archive_path ? link_fd(t->s->file, t->archive_path) : 0;
}

static int link_index(struct turn *t)
{
    /* Without it times are missing from the archive, no more. */
    if (t->archive_path)
        (void)(link_fd(t->s->index, t->archive_index_path) + 1);
    return 0;
}

/* ---- the switch, and what follows ------------------------------------------------------------ */

static int switch_file(struct turn *t)
{
    return rename(t->new_path, t->s->path) < 0 ? -errno : 0;
}

/* From here on nothing goes back: what fails is said, and the rest is done. */
static int switch_index(struct turn *t)
{
    if (rename(t->new_index_path, t->index_path) < 0 && errno != ENOENT)
        log_warn(-errno, "%s", t->index_path);
    return 0;
}

static int cut(struct turn *t)
{
    if (ftruncate(t->s->file, t->cut_at) < 0)
        log_warn(-errno, "%s: its archive has the beginning of a line twice", t->s->path);
    return 0;
}

static void replace(int *fd, int *new_fd)
{
    (void)close(*fd);
    *fd = TAKE_FD(*new_fd);
}

static int store_file(struct turn *t)
{
    if (keep_store(t->s->keep, t->file, "%s.file", t->s->name) < 0)
        log_warn(0, "%s: the keeper does not take the new file", t->s->path);
    replace(&t->s->file, &t->file);
    t->s->offset = lseek(t->s->file, 0, SEEK_END);
    log_drop_moved(t->s);
    return 0;
}

static int store_index(struct turn *t)
{
    struct logstream *s = t->s;
    uint64_t record[2];
    if (keep_store(s->keep, t->index, "%s.index", s->name) < 0)
        log_warn(0, "%s: the keeper does not take the new index", s->path);
    replace(&s->index, &t->index);
    (void)lseek(s->index, 0, SEEK_END);
    s->indexed_ms = s->began_ms = 0;
    if (s->offset > 0)
        s->began_ms = pread(s->index, record, sizeof record, 0) == (ssize_t)sizeof record
                          ? (int64_t)record[0]
                          : loop_wall_ms();
    return 0;
}

static int forget(struct turn *t)
{
    __atomic_store_n(&t->s->kept->cut_at, 0, __ATOMIC_RELEASE);
    if (t->archive_path && t->s->on_archived)
        t->s->on_archived(t->s->archived_arg, t->archive_path, t->s->limits.keep);
    return 0;
}

/* `<log>.new` goes last: while it is there, the journal says that nothing was switched. */
static void go_back(struct turn *t)
{
    struct logstream *s = t->s;
    if (t->archive_path && same_file(s->file, t->archive_path))
        (void)unlink(t->archive_path);
    if (t->archive_path && same_file(s->index, t->archive_index_path))
        (void)unlink(t->archive_index_path);
    __atomic_store_n(&s->kept->cut_at, 0, __ATOMIC_RELEASE);
    (void)unlink(t->new_index_path);
    (void)unlink(t->new_path);
}

static int run(struct turn *t, unsigned from, unsigned steps)
{
    for (unsigned i = from; i < steps; i++) {
        int r = steps_in_order[i](t);
        if (r < 0) {
            go_back(t);
            return r;
        }
    }
    return 0;
}

/* ---- when ------------------------------------------------------------------------------------ */

/* A time that no archive has. */
static int64_t free_stamp(const struct logstream *s)
{
    int64_t stamp_ms = loop_wall_ms();
    if (stamp_ms <= s->kept->rotated_wall_ms)
        stamp_ms = s->kept->rotated_wall_ms + 1;
    for (;; stamp_ms++) {
        AUTOFREE char *path = archive_path(s->path, stamp_ms), *packed = xasprintf("%s.zst", path);
        if (!exists(path) && !exists(packed))
            return stamp_ms;
    }
}

static bool is_special(const struct logstream *s)
{
    struct stat st;
    return lstat(s->path, &st) == 0 && !S_ISREG(st.st_mode);
}

int log_rotate(struct logstream *s, unsigned steps)
{
    struct turn t;
    int64_t cut_at = log_line_begin(s->file, s->offset);
    if (cut_at == 0)
        return 0;
    if (!same_file(s->file, s->path))
        return log_rotate_reopen(s);
    turn_init(&t, s, cut_at, free_stamp(s));
    int r = run(&t, 0, steps);
    turn_clear(&t);
    return r;
}

static bool is_due(const struct logstream *s)
{
    const struct log_limits *l = &s->limits;
    if (s->offset == 0)
        return false;
    if (l->max_bytes > 0 && s->offset >= l->max_bytes)
        return true;
    return l->every_ms > 0 && s->began_ms > 0 && loop_wall_ms() - s->began_ms >= l->every_ms;
}

void log_rotate_if_due(struct logstream *s)
{
    int64_t now_ms = (int64_t)uv_now(s->pause.loop);
    if (now_ms < s->rotate_at_ms || !is_due(s) || log_drop_active(s))
        return;
    int64_t before = s->offset;
    int r = log_rotate(s, TURN_STEPS);
    if (r < 0)
        log_warn(r, "%s: cannot be rotated", s->path);
    if (r < 0 || s->offset == before)
        s->rotate_at_ms = now_ms + (r < 0 ? AGAIN_MS : AGAIN_MS / 10);
}

/* Another program's file is there already and has something in it: its lines stay, ours follow. */
static int go_on_in(struct logstream *s)
{
    struct turn t;
    int64_t unused;
    turn_init(&t, s, s->offset, 0);
    t.file = log_open_at_end(s->path, &unused);
    t.index = t.file < 0 ? t.file : create_new(t.index_path, t.index_path);
    int r = t.index < 0 ? t.index : 0;
    if (r == 0) {
        (void)store_file(&t);
        (void)store_index(&t);
    }
    turn_clear(&t);
    return r;
}

int log_rotate_reopen(struct logstream *s)
{
    struct turn t;
    struct stat st;
    if (same_file(s->file, s->path))
        return 0;
    if (is_special(s))
        return ERR_NO_FILE;
    if (lstat(s->path, &st) == 0 && st.st_size > 0)
        return go_on_in(s);
    turn_init(&t, s, log_line_begin(s->file, s->offset), 0);
    /* All of it is one unfinished line: that stays, since the journal's 0 means that nothing is under way. */
    if (t.cut_at == 0)
        t.cut_at = s->offset;
    int r = run(&t, 0, TURN_STEPS);
    turn_clear(&t);
    return r;
}

/* ---- after a death --------------------------------------------------------------------------- */

static void go_forward(struct turn *t)
{
    int64_t unused;
    bool stored = same_file(t->s->file, t->s->path);
    (void)switch_index(t);
    t->index = log_open_at_end(t->index_path, &unused);
    if (!stored) {
        t->file = log_open_at_end(t->s->path, &unused);
        if (t->file < 0) {
            log_err(t->file, "%s", t->s->path);
            return;
        }
        (void)cut(t);
        (void)store_file(t);
    }
    if (t->index >= 0)
        (void)store_index(t);
    (void)forget(t);
}

/* Killed together with the keeper, or the host went down: the file has been opened by its name.  A second name of it is an
 * archive that was not made; a reboot has forgotten which. */
static void forget_second_name(const struct logstream *s)
{
    AUTOARCHIVES struct archives a = {0};
    AUTOFREE char *dir = xstrndup(s->path, (size_t)(path_base(s->path) - s->path));
    struct stat st;
    if (fstat(s->file, &st) < 0 || st.st_nlink < 2)
        return;
    (void)archives_read(&a, dir, path_base(s->path));
    for (size_t i = 0; i < a.count; i++) {
        AUTOFREE char *path = path_join(dir, a.items[i].name), *index = xasprintf("%s.idx", path);
        if (!same_file(s->file, path))
            continue;
        (void)unlink(index);
        (void)unlink(path);
    }
}

/* Of one that was made, the line that went on in the new file may still be there. */
static void cut_archive(const struct turn *t)
{
    struct stat st;
    if (!t->archive_path || lstat(t->archive_path, &st) < 0 || !S_ISREG(st.st_mode) ||
        st.st_size <= t->cut_at)
        return;
    if (truncate(t->archive_path, t->cut_at) < 0)
        log_warn(-errno, "%s: has the beginning of a line twice", t->archive_path);
}

void log_rotate_adopt(struct logstream *s, bool adopted)
{
    struct turn t;
    int64_t cut_at = s->kept->cut_at;
    turn_init(&t, s, cut_at, cut_at > 0 ? s->kept->rotated_wall_ms : 0);
    bool switched = !exists(t.new_path) && (adopted ? cut_at > 0 : exists(t.new_index_path));
    if (!adopted) {
        forget_second_name(s);
        cut_archive(&t);
    }
    if (switched)
        go_forward(&t);
    else
        go_back(&t);
    turn_clear(&t);
}
