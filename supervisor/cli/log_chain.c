#include "supervisor/cli/log_chain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/archive.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"
#include "supervisor/cli/log_unpack.h"
#include "supervisor/cli/say.h"

/* ---- archives -------------------------------------------------------------------------------- */

static char *folder_of(const char *path)
{
    return xstrndup(path, (size_t)(path_base(path) - path));
}

static bool same_archives(const struct archives *a, const struct archives *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++)
        same = str_eq(a->items[i].name, b->items[i].name) &&
               a->items[i].is_plain == b->items[i].is_plain &&
               a->items[i].is_packed == b->items[i].is_packed;
    return same;
}

/* A folder is not read in one moment: of one that is being packed both names may be missed.  So it is read until nothing
 * changes. */
static void read_archives(const struct log_chain *c, struct archives *a)
{
    AUTOFREE char *dir = folder_of(c->path);
    struct archives before = {0};
    (void)archives_read(&before, *dir ? dir : ".", path_base(c->path));
    for (;;) {
        (void)archives_read(a, *dir ? dir : ".", path_base(c->path));
        bool same = same_archives(&before, a);
        archives_clear(&before);
        if (same)
            return;
        before = *a;
        *a = (struct archives){0};
    }
}

static char *path_of(const struct log_chain *c, const struct archive *item)
{
    AUTOFREE char *dir = folder_of(c->path);
    return xasprintf("%s%s", dir, item->name);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* A second name of the present file: its rotation has begun, and may still be taken back. */
static bool is_present(const struct log_chain *c, const struct archive *item)
{
    struct stat present, named;
    AUTOFREE char *path = path_of(c, item);
    return stat(path, &named) == 0 && stat(c->path, &present) == 0 && same_file(&named, &present);
}

/* The first archive after those that were seen; NULL: none. */
static const struct archive *next_archive(const struct log_chain *c, const struct archives *a)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct archive *item = &a->items[i];
        if (item->at_ms > c->seen_ms && (item->is_plain || item->is_packed) && !is_present(c, item))
            return item;
    }
    return NULL;
}

/* Is the open file what became this archive?  A packed one has the times of what it was made from. */
static bool is_archive(const struct log_chain *c, const struct archive *item)
{
    struct stat held, named;
    AUTOFREE char *path = path_of(c, item), *packed = xasprintf("%s.zst", path);
    if (fstat(c->file.fd, &held) < 0)
        return false;
    if (stat(path, &named) == 0)
        return same_file(&held, &named);
    /* Still under its own name: the file that follows an archive may be made in the tick of the clock in which that was
     * last written. */
    if (stat(c->path, &named) == 0 && same_file(&held, &named))
        return false;
    /* What is packed is not cut any more: only now are the times of the open file its last. */
    return stat(packed, &named) == 0 && held.st_mtim.tv_sec == named.st_mtim.tv_sec &&
           held.st_mtim.tv_nsec == named.st_mtim.tv_nsec;
}

static int open_archive(const struct log_chain *c, const struct archive *item, struct log_file *f)
{
    AUTOFREE char *path = path_of(c, item), *index = xasprintf("%s.idx", path);
    int fd = log_unpack(path);
    if (fd < 0)
        return fd;
    log_file_init(f, path, fd, log_unpack(index));
    return 0;
}

/* The rest of the log is worth reading all the same.  One that was thrown away in between is no error. */
static void leave_out(const struct log_chain *c, const struct archive *item, int r)
{
    if (r == -ENOENT || item->at_ms <= c->told_ms)
        return;
    AUTOFREE char *path = path_of(c, item);
    say_error("cannot read %s: %s; its lines are left out", path, err_str(r));
}

/* ---- one file after the other ---------------------------------------------------------------- */

static void use(struct log_chain *c, struct log_file *f, bool in_archive)
{
    log_file_close(&c->file);
    c->file = *f;
    c->in_archive = in_archive;
}

/* Opens what comes after the archives that were seen.  The present file may become an archive between looking and opening:
 * then it is looked again. */
static int open_next(struct log_chain *c)
{
    for (;;) {
        AUTOARCHIVES struct archives a = {0};
        AUTOARCHIVES struct archives after = {0};
        struct log_file f;
        read_archives(c, &a);
        const struct archive *next = next_archive(c, &a);
        int r = next ? open_archive(c, next, &f) : log_file_open(&f, c->path);
        if (next)
            c->seen_ms = next->at_ms;
        if (next && r < 0) {
            leave_out(c, next, r);
            continue;
        }
        if (r < 0)
            return r;
        use(c, &f, next != NULL);
        if (next)
            return 0;
        read_archives(c, &after);
        next = next_archive(c, &after);
        if (!next || is_archive(c, next))
            return 0;
    }
}

int log_chain_open(struct log_chain *c, const char *path)
{
    AUTOARCHIVES struct archives a = {0};
    *c = (struct log_chain){.path = xstrdup(path)};
    log_file_init(&c->file, path, -1, -1);
    read_archives(c, &a);
    /* Opened when an archive is its second name already: that is it, and no older one. */
    if (a.count > 0)
        c->seen_ms = a.items[a.count - 1].at_ms;
    int r = open_next(c);
    if (r < 0)
        log_chain_close(c);
    return r;
}

void log_chain_close(struct log_chain *c)
{
    log_file_close(&c->file);
    free(c->path);
    c->path = NULL;
}

/* ---- the tail -------------------------------------------------------------------------------- */

int64_t log_chain_seek_tail(struct log_chain *c, size_t lines)
{
    AUTOARCHIVES struct archives a = {0};
    int64_t total = log_file_seek_tail(&c->file, lines);
    if (total < 0 || (size_t)total >= lines || c->in_archive)
        return total;
    read_archives(c, &a);
    int64_t newest_ms = c->seen_ms;
    for (size_t i = a.count; i-- > 0 && (size_t)total < lines;) {
        struct log_file f;
        if (a.items[i].at_ms > c->seen_ms || is_archive(c, &a.items[i]))
            continue;
        int r = open_archive(c, &a.items[i], &f);
        int64_t found = r < 0 ? r : log_file_seek_tail(&f, lines - (size_t)total);
        if (found < 0) {
            if (r >= 0)
                log_file_close(&f);
            leave_out(c, &a.items[i], (int)found);
            continue;
        }
        total += found;
        /* The present file is opened again when it is its turn; the ones between too. */
        use(c, &f, true);
        c->seen_ms = a.items[i].at_ms;
    }
    c->told_ms = newest_ms;
    return total;
}

/* Archives lie before the present file, so that the first that is late enough is where it begins. */
int log_chain_seek_time(struct log_chain *c, int64_t since_ms)
{
    AUTOARCHIVES struct archives a = {0};
    if (!c->in_archive)
        read_archives(c, &a);
    int64_t newest_ms = c->seen_ms;
    for (size_t i = 0; i < a.count; i++) {
        struct log_file f;
        if (a.items[i].at_ms < since_ms || a.items[i].at_ms > newest_ms ||
            is_archive(c, &a.items[i]))
            continue;
        int r = open_archive(c, &a.items[i], &f);
        if (r < 0) {
            leave_out(c, &a.items[i], r);
            continue;
        }
        use(c, &f, true);
        c->seen_ms = a.items[i].at_ms;
        break;
    }
    log_file_seek_time(&c->file, since_ms);
    return 0;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Was what follows the last newline carried over into the present file, and will be cut here? */
static bool was_carried(const struct log_chain *c)
{
    struct stat held;
    const struct buf *rest = &c->file.in;
    if (fstat(c->file.fd, &held) < 0 || (uint64_t)held.st_size < c->file.offset + rest->len)
        return true;
    AUTOCLOSE int fd = open(c->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    AUTOFREE char *begin = xcalloc(1, rest->len + 1);
    return fd >= 0 && pread(fd, begin, rest->len, 0) == (ssize_t)rest->len &&
           memcmp(begin, rest->data, rest->len) == 0;
}

/* The end of an archive that has no newline there: the rest of the line follows in the next file, or all of it. */
static int next_of_archive(struct log_chain *c, struct log_line *ret_line)
{
    int r = log_file_next(&c->file, false, ret_line);
    if (r != 0 || c->file.in.len == 0 || was_carried(c))
        return r;
    return log_file_next(&c->file, true, ret_line);
}

int log_chain_next(struct log_chain *c, bool rest, struct log_line *ret_line)
{
    for (;;) {
        int r =
            c->in_archive ? next_of_archive(c, ret_line) : log_file_next(&c->file, rest, ret_line);
        if (r != 0 || !c->in_archive)
            return r;
        r = open_next(c);
        if (r < 0)
            return r == -ENOENT ? 0 : r;
    }
}

/* ---- following ------------------------------------------------------------------------------- */

/* The open file is at its end, and another one has its name. */
static int leave(struct log_chain *c)
{
    AUTOARCHIVES struct archives a = {0};
    if (c->file.in.len > 0 && !was_carried(c)) {
        int r = buf_addc(&c->file.in, '\n');
        return r < 0 ? r : 1;
    }
    read_archives(c, &a);
    const struct archive *next = next_archive(c, &a);
    if (next && is_archive(c, next))
        c->seen_ms = next->at_ms;
    int r = open_next(c);
    return r < 0 ? r : 1;
}

int log_chain_check(struct log_chain *c)
{
    if (c->in_archive)
        return 1;
    bool exchanged = log_file_exchanged(&c->file);
    int r = log_file_check(&c->file);
    return r != 0 || !exchanged ? r : leave(c);
}
