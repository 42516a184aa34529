#include "remote/store/files.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/store/db_private.h"
#include "remote/store/sql.h"

enum { FILE_MODE = 0600 };

/* ---- names ----------------------------------------------------------------------------------- */

void files_segment_name(int64_t number, char ret_name[static FILE_NAME])
{
    (void)snprintf(ret_name, FILE_NAME, "%06" PRId64 ".seg", number);
}

bool files_segment_number(const char *name, int64_t *ret_number)
{
    char digits[FILE_NAME], back[FILE_NAME];
    int64_t number;
    size_t len = strlen(name);
    if (len < 4 || len >= sizeof digits)
        return false;
    memcpy(digits, name, len - 4);
    digits[len - 4] = '\0';
    if (str_to_int(digits, 1, INT64_MAX, &number) < 0)
        return false;
    files_segment_name(number, back);
    if (strcmp(name, back) != 0)
        return false;
    *ret_number = number;
    return true;
}

int files_length(struct db *db, enum file_kind kind, const char *name, int64_t *ret_length)
{
    int64_t number;
    switch (kind) {
    case FILE_SEGMENT:
        if (!files_segment_number(name, &number))
            return 0;
        return sql_get_int(db, "SELECT bytes FROM segments WHERE number = ?", ARGS(INT(number)),
                           ret_length);
    case FILE_PART:
        return sql_get_int(db, "SELECT have_bytes FROM incoming WHERE file = ?", ARGS(TEXT(name)),
                           ret_length);
    case FILE_KINDS:
        break;
    }
    return ERR_INVALID;
}

/* ---- what a transaction uses ----------------------------------------------------------------- */

static struct file_use *find(const struct files *f, enum file_kind kind, const char *name)
{
    /* From the last on: pieces of one result follow each other. */
    for (size_t i = f->use_count; i > 0; i--)
        if (f->uses[i - 1].kind == kind && strcmp(f->uses[i - 1].name, name) == 0)
            return &f->uses[i - 1];
    return NULL;
}

/* Takes `fd`.  A use of the same name was of a file that is replaced by this one. */
static void add_use(struct files *f, const struct file_use *use)
{
    struct file_use *same = find(f, use->kind, use->name);
    if (!same) {
        f->uses = xreallocarray(f->uses, f->use_count + 1, sizeof *f->uses);
        same = &f->uses[f->use_count++];
    } else if (same->fd >= 0) {
        (void)close(same->fd);
    }
    *same = *use;
}

static struct file_use make_use(enum file_kind kind, const char *name)
{
    struct file_use use = {.kind = kind, .fd = -1};
    (void)snprintf(use.name, sizeof use.name, "%s", name);
    return use;
}

int files_open(struct db *db, enum file_kind kind, const char *name, int64_t length, int *ret_fd)
{
    const struct file_use *known = find(&db->files, kind, name);
    if (known && known->fd >= 0) {
        *ret_fd = known->fd;
        return 0;
    }
    struct file_use use = make_use(kind, name);
    use.before = length;
    use.fd = openat(db->folders[kind], name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
    if (use.fd < 0)
        return -errno;
    add_use(&db->files, &use);
    *ret_fd = use.fd;
    return 0;
}

static int create(int folder, const char *name)
{
    int fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    return fd < 0 ? -errno : fd;
}

int files_make(struct db *db, enum file_kind kind, const char *name, int *ret_fd)
{
    struct file_use use = make_use(kind, name);
    use.made = true;
    use.fd = create(db->folders[kind], name);
    if (use.fd == -EEXIST && unlinkat(db->folders[kind], name, 0) == 0)
        use.fd = create(db->folders[kind], name);
    if (use.fd < 0)
        return use.fd;
    add_use(&db->files, &use);
    db->files.new_names[kind] = true;
    *ret_fd = use.fd;
    return fchmod(use.fd, FILE_MODE) < 0 ? -errno : 0;
}

int files_link(struct db *db, const char *part, const char *segment)
{
    int from = db->folders[FILE_PART], to = db->folders[FILE_SEGMENT];
    int r = linkat(from, part, to, segment, 0);
    if (r < 0 && errno == EEXIST && unlinkat(to, segment, 0) == 0)
        r = linkat(from, part, to, segment, 0);
    if (r < 0)
        return -errno;
    struct file_use use = make_use(FILE_SEGMENT, segment);
    use.made = true;
    add_use(&db->files, &use);
    db->files.new_names[FILE_SEGMENT] = true;
    return 0;
}

void files_drop(struct db *db, enum file_kind kind, const char *name)
{
    struct files *f = &db->files;
    f->ends = xreallocarray(f->ends, f->end_count + 1, sizeof *f->ends);
    struct file_end *end = &f->ends[f->end_count++];
    *end = (struct file_end){.kind = kind};
    (void)snprintf(end->name, sizeof end->name, "%s", name);
}

int files_read(struct db *db, enum file_kind kind, const char *name, int *ret_fd)
{
    int fd = openat(db->folders[kind], name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

int files_write_at(int fd, const void *data, size_t len, uint64_t offset)
{
    while (len > 0) {
        ssize_t n = pwrite(fd, data, len, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        data = (const char *)data + n;
        len -= (size_t)n;
        offset += (uint64_t)n;
    }
    return 0;
}

/* ---- the three moments ----------------------------------------------------------------------- */

static int cut(int fd, int64_t length)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_size <= length)
        return 0;
    return ftruncate(fd, length) < 0 ? -errno : 0;
}

static int settle(struct db *db, const struct file_use *use)
{
    int64_t length;
    int r = files_length(db, use->kind, use->name, &length);
    if (r == 0 && use->made)
        (void)unlinkat(db->folders[use->kind], use->name, 0);
    if (r == 1 && use->fd >= 0)
        r = cut(use->fd, length);
    if (r < 0)
        return r;
    /* Also without a row: a part file may go on as a segment. */
    return use->fd >= 0 && fdatasync(use->fd) < 0 ? -errno : 0;
}

int files_before_commit(struct db *db)
{
    struct files *f = &db->files;
    for (size_t i = 0; i < f->use_count; i++) {
        int r = settle(db, &f->uses[i]);
        if (r < 0)
            return r;
    }
    for (int kind = 0; kind < FILE_KINDS; kind++)
        if (f->new_names[kind] && fsync(db->folders[kind]) < 0)
            return -errno;
    return 0;
}

void files_after_commit(struct db *db)
{
    struct files *f = &db->files;
    int64_t length;
    for (size_t i = 0; i < f->end_count; i++) {
        const struct file_end *end = &f->ends[i];
        if (files_length(db, end->kind, end->name, &length) == 0)
            (void)unlinkat(db->folders[end->kind], end->name, 0);
    }
    files_clear(f);
}

void files_undo(struct db *db, bool locked)
{
    struct files *f = &db->files;
    for (size_t i = 0; i < f->use_count; i++) {
        const struct file_use *use = &f->uses[i];
        /* Another process may use the number or the place by now; the next one that gets it writes over what is there. */
        if (use->kind == FILE_SEGMENT && !locked)
            continue;
        if (use->made)
            (void)unlinkat(db->folders[use->kind], use->name, 0);
        else
            (void)cut(use->fd, use->before);
    }
    files_clear(f);
}

void files_clear(struct files *f)
{
    for (size_t i = 0; i < f->use_count; i++)
        if (f->uses[i].fd >= 0)
            (void)close(f->uses[i].fd);
    free(f->uses);
    free(f->ends);
    *f = (struct files){0};
}
