#include "agent/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"

#define RECORD ".json"
#define RECORD_NEW ".json.tmp"
#define BROKEN ".json.broken"
#define PART ".part"
#define ZST ".zst"
#define ZST_NEW ".zst.tmp"
#define EXPANDED ".expanded.tmp"

/* Ids are kept for a week, as docs/PROTOCOL.md promises to those who repeat a request. */
#define KEEP_MS (7 * 24 * 3600 * INT64_C(1000))

/* A clock that was set wrong is set right within a day, or somebody wants it so. */
#define STEADY_MS (24 * 3600 * INT64_C(1000))

/* Clocks are corrected by less than this all the time. */
#define DRIFT_MS (10 * 60 * INT64_C(1000))

enum { FILE_MODE = 0600, FOLDER_MODE = 0700, LOCK_STEP_MS = 20 };

static char *file_path(const struct spool *s, const char *id, const char *extension)
{
    return xasprintf("%s/%s%s", s->dir, id, extension);
}

char *spool_path(const struct spool *s, const char *id, enum record_kind kind,
                 enum spool_file which)
{
    const char *extension = which == SPOOL_EXPANDED ? "" : record_kind_extension(kind);
    const char *more = NULL;
    switch (which) {
    case SPOOL_RESULT:
        more = "";
        break;
    case SPOOL_PACKED:
        more = ZST;
        break;
    case SPOOL_PACKED_NEW:
        more = ZST_NEW;
        break;
    case SPOOL_EXPANDED:
        more = EXPANDED;
        break;
    }
    return xasprintf("%s/%s%s%s", s->dir, id, extension, more);
}

static void remove_file(const struct spool *s, const char *id, const char *extension)
{
    AUTOFREE char *path = file_path(s, id, extension);
    if (unlink(path) < 0 && errno != ENOENT)
        log_warn(-errno, "cannot remove %s, ignoring", path);
}

/* The result in both its forms. */
static void remove_result(const struct spool *s, const struct spool_entry *e)
{
    AUTOFREE char *packed = xasprintf("%s" ZST, record_kind_extension(e->kind));
    remove_file(s, e->id, record_kind_extension(e->kind));
    remove_file(s, e->id, packed);
}

/* ---- the folder ------------------------------------------------------------------------------ */

static int check_folder(int fd)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (st.st_uid != geteuid())
        return -EPERM;
    if ((st.st_mode & 077) != 0 && fchmod(fd, FOLDER_MODE) < 0)
        return -errno;
    return 0;
}

/* An agent whose supervisor has gone may still be finishing its last write. */
static int lock_folder(int fd, int wait_ms)
{
    for (;;) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK)
            return -errno;
        if (wait_ms <= 0)
            return -EBUSY;
        (void)nanosleep(&(struct timespec){.tv_nsec = LOCK_STEP_MS * 1000000L}, NULL);
        wait_ms -= LOCK_STEP_MS;
    }
}

int spool_open(struct spool *s, const char *home, int wait_ms)
{
    *s = (struct spool){.lock_fd = -1,
                        .keep_ms = KEEP_MS,
                        .steady_ms = STEADY_MS,
                        .limit_bytes = (int64_t)LIMIT_SPOOL_BYTES,
                        .limit_records = LIMIT_SPOOL_RECORDS};
    AUTOFREE char *dir = path_join(home, "spool");
    int r = path_mkdir(dir, FOLDER_MODE);
    if (r < 0)
        return r;
    AUTOCLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    r = check_folder(fd);
    if (r == 0)
        r = lock_folder(fd, wait_ms);
    if (r < 0)
        return r;
    s->dir = TAKE(dir);
    s->lock_fd = TAKE_FD(fd);
    return 0;
}

void spool_close(struct spool *s)
{
    if (s->lock_fd >= 0)
        (void)close(s->lock_fd);
    free(s->dir);
    free(s->entries);
    strlist_clear(&s->hosts);
    strlist_clear(&s->unread);
    *s = (struct spool){.lock_fd = -1};
}

/* ---- the index ------------------------------------------------------------------------------- */

static struct spool_entry *find(const struct spool *s, const char *id)
{
    /* From the newest on: that is what is asked for. */
    for (size_t i = s->count; i > 0; i--)
        if (strcmp(s->entries[i - 1].id, id) == 0)
            return &s->entries[i - 1];
    return NULL;
}

const struct spool_entry *spool_find(const struct spool *s, const char *id)
{
    return find(s, id);
}

static unsigned host_number(struct spool *s, const char *host)
{
    if (!host)
        return 0;
    for (size_t i = 0; i < s->hosts.count; i++)
        if (str_eq(s->hosts.items[i], host))
            return (unsigned)i + 1;
    strlist_add(&s->hosts, host);
    return (unsigned)s->hosts.count;
}

static void set_entry(struct spool *s, struct spool_entry *e, const struct record *r)
{
    int64_t bytes = record_packed(r) ? r->stored_bytes : r->bytes > 0 ? r->bytes : 0;
    e->ended = record_ended(r);
    e->ended_ms = r->ended_ms;
    e->from_console = r->from_console;
    e->delivered = r->delivered;
    e->host = host_number(s, r->from_console ? r->host : NULL);
    e->packed = record_packed(r);
    e->result_bytes = record_has_result(r) ? bytes : RECORD_UNKNOWN;
}

static void index_add(struct spool *s, const struct record *r)
{
    if (s->count == s->capacity) {
        s->capacity = s->capacity ? s->capacity * 2 : 16;
        s->entries = xreallocarray(s->entries, s->capacity, sizeof *s->entries);
    }
    size_t at = s->count++;
    for (; at > 0 && s->entries[at - 1].created_ms > r->created_ms; at--)
        s->entries[at] = s->entries[at - 1];
    struct spool_entry *e = &s->entries[at];
    *e = (struct spool_entry){.kind = r->kind, .created_ms = r->created_ms};
    memcpy(e->id, r->id, UUID_TEXT);
    set_entry(s, e, r);
}

void spool_belong(struct spool *s, const char *host)
{
    s->host = host_number(s, host);
}

bool spool_is_ours(const struct spool *s, const struct spool_entry *e)
{
    return e->from_console && e->host != 0 && e->host == s->host;
}

bool spool_is_owed(const struct spool *s, const struct spool_entry *e)
{
    return e->ended && !e->delivered && spool_is_ours(s, e);
}

size_t spool_owed(const struct spool *s, int64_t *ret_bytes)
{
    size_t count = 0;
    *ret_bytes = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct spool_entry *e = &s->entries[i];
        if (!spool_is_owed(s, e))
            continue;
        count++;
        *ret_bytes += e->result_bytes > 0 ? e->result_bytes : 0;
    }
    return count;
}

void spool_hold(struct spool *s, const char *id, bool held)
{
    struct spool_entry *e = find(s, id);
    if (e)
        e->held = held;
}

/* ---- records --------------------------------------------------------------------------------- */

static int record_text(const struct record *r, struct buf *out)
{
    AUTOJSON json_t *json = record_to_json(r);
    int e = json_to_buf(json, out);
    return e < 0 ? e : buf_addc(out, '\n');
}

/* Writes a new file whole; a record is far below what one write() takes. */
static int write_new(const char *path, const struct buf *text)
{
    AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0)
        return -errno;
    ssize_t n = write(fd, text->data, text->len);
    if (n < 0)
        return -errno;
    return (size_t)n == text->len ? 0 : -ENOSPC;
}

int spool_save(const struct spool *s, const struct record *r)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_CAPTURE_RECORD);
    AUTOFREE char *path = file_path(s, r->id, RECORD);
    AUTOFREE char *new_path = file_path(s, r->id, RECORD_NEW);
    int e = record_text(r, &text);
    if (e == 0)
        e = write_new(new_path, &text);
    if (e == 0 && rename(new_path, path) < 0)
        e = -errno;
    if (e < 0)
        (void)unlink(new_path);
    return e;
}

int spool_read(const struct spool *s, const char *id, struct record *ret_record,
               char reterr_text[static RECORD_TEXT])
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_CAPTURE_RECORD);
    AUTOFREE char *path = file_path(s, id, RECORD);
    struct stat st;
    if (lstat(path, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode)) {
        (void)snprintf(reterr_text, RECORD_TEXT, "it is no regular file");
        return ERR_INVALID;
    }
    int e = path_read(path, &text);
    if (e < 0) {
        (void)snprintf(reterr_text, RECORD_TEXT, "%s", err_str(e));
        return e;
    }
    AUTORECORD struct record r;
    record_init(&r);
    e = record_parse(buf_str(&text), text.len, &r, reterr_text);
    if (e < 0)
        return e;
    if (strcmp(r.id, id) != 0) {
        (void)snprintf(reterr_text, RECORD_TEXT, "its id is not that of the file's name");
        return ERR_INVALID;
    }
    *ret_record = r;
    record_init(&r);
    return 0;
}

/* ---- the life of a capture's files ----------------------------------------------------------- */

int spool_files_init(struct spool_files *f, const struct spool *s, const struct record *r)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_CAPTURE_RECORD);
    int error = record_text(r, &text);
    if (error < 0)
        return error;
    *f = (struct spool_files){.record_path = file_path(s, r->id, RECORD),
                              .part_path = file_path(s, r->id, PART),
                              .len = text.len};
    if (record_has_result(r))
        f->result_path = file_path(s, r->id, record_kind_extension(r->kind));
    f->text = buf_take(&text);
    return 0;
}

void spool_files_clear(struct spool_files *f)
{
    free(f->record_path);
    free(f->part_path);
    free(f->result_path);
    free(f->text);
    *f = (struct spool_files){0};
}

/* A file of that name may be left from a record that was moved aside. */
static int make_part(const char *path)
{
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    return fd < 0 ? -errno : fd;
}

int spool_begin_write(const struct spool_files *f, int *ret_fd)
{
    AUTOCLOSE int fd = make_part(f->part_path);
    if (fd < 0)
        return fd;
    /* The record comes second: its fsync of the folder makes the part file's name durable, too. */
    int e = path_write_atomic(f->record_path, f->text, f->len, FILE_MODE);
    if (e < 0) {
        (void)unlink(f->part_path);
        return e;
    }
    *ret_fd = TAKE_FD(fd);
    return 0;
}

void spool_begun(struct spool *s, const struct record *r)
{
    index_add(s, r);
}

int64_t spool_part_size(const struct spool *s, const char *id)
{
    AUTOFREE char *path = file_path(s, id, PART);
    struct stat st;
    if (lstat(path, &st) < 0)
        return -errno;
    return S_ISREG(st.st_mode) ? (int64_t)st.st_size : -EINVAL;
}

int spool_open_result(const struct spool *s, const struct record *r)
{
    AUTOFREE char *path = file_path(s, r->id, record_kind_extension(r->kind));
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd < 0 ? -errno : fd;
}

static int sync_path(const char *path, int flags)
{
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | flags);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

static int sync_folder_of(const char *path)
{
    AUTOFREE char *dir = xstrndup(path, (size_t)(path_base(path) - path));
    return sync_path(dir, O_DIRECTORY);
}

/* Writes over the old record, in blocks that it has already; what is left of it becomes blanks,
 * which JSON allows.  Not tried when new blocks would be needed: half a record is worse than an old
 * one. */
static int write_over(const struct spool_files *f)
{
    AUTOCLOSE int fd = open(f->record_path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_blocks * 512 < (off_t)f->len)
        return -ENOSPC;
    size_t len = st.st_size > (off_t)f->len ? (size_t)st.st_size : f->len;
    AUTOFREE char *text = xcalloc(1, len);
    memset(text, ' ', len);
    memcpy(text, f->text, f->len);
    ssize_t n = pwrite(fd, text, len, 0);
    if (n < 0 || fsync(fd) < 0)
        return -errno;
    return (size_t)n == len ? 0 : -ENOSPC;
}

static int write_record(const struct spool_files *f)
{
    int r = path_write_atomic(f->record_path, f->text, f->len, FILE_MODE);
    return r < 0 && write_over(f) == 0 ? 0 : r;
}

/* The bytes, then the record, then the name: a record that says done has its bytes on disk, under
 * one of two names, and spool_scan() finishes the renaming. */
static int write_with_result(const struct spool_files *f)
{
    int r = sync_path(f->part_path, O_NOFOLLOW);
    if (r == 0)
        r = write_record(f);
    if (r == 0 && rename(f->part_path, f->result_path) < 0)
        r = -errno;
    return r < 0 ? r : sync_folder_of(f->record_path);
}

/* The part file goes first, so that on a full disk there is room for the record. */
int spool_end_write(const struct spool_files *f)
{
    if (f->result_path)
        return write_with_result(f);
    if (unlink(f->part_path) < 0 && errno != ENOENT)
        return -errno;
    return write_record(f);
}

int spool_rewrite(const struct spool *s, const struct record *r)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_CAPTURE_RECORD);
    AUTOFREE char *path = file_path(s, r->id, RECORD);
    int e = record_text(r, &text);
    if (e < 0)
        return e;
    struct spool_files f = {.record_path = path, .text = text.data, .len = text.len};
    return write_record(&f);
}

void spool_ended(struct spool *s, const struct record *r)
{
    struct spool_entry *e = find(s, r->id);
    if (e)
        set_entry(s, e, r);
    else
        index_add(s, r);
}

/* ---- packed results -------------------------------------------------------------------------- */

int spool_open_packed(const struct spool *s, const char *id, enum record_kind kind,
                      int64_t stored_bytes)
{
    AUTOFREE char *path = spool_path(s, id, kind, SPOOL_PACKED);
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode) || st.st_size != stored_bytes)
        return ERR_MISMATCH;
    return TAKE_FD(fd);
}

struct spool_entry *spool_next_unpacked(struct spool *s)
{
    for (size_t i = s->count; i > 0; i--) {
        struct spool_entry *e = &s->entries[i - 1];
        if (e->ended && e->result_bytes != RECORD_UNKNOWN && !e->packed && !e->stuck)
            return e;
    }
    return NULL;
}

void spool_unstick(struct spool *s)
{
    for (size_t i = 0; i < s->count; i++)
        s->entries[i].stuck = false;
}

/* ---- what a crash left ----------------------------------------------------------------------- */

struct scan {
    struct spool *s;
    int64_t now_ms;
    spool_found_cb found;
    void *arg;
};

/* "<id><extension>"; false for a name that is not ours. */
static bool split_name(const char *name, char ret_id[static UUID_TEXT], const char **ret_extension)
{
    if (strlen(name) < UUID_TEXT)
        return false;
    memcpy(ret_id, name, UUID_TEXT - 1);
    ret_id[UUID_TEXT - 1] = '\0';
    *ret_extension = name + UUID_TEXT - 1;
    return uuid_valid_v7(ret_id);
}

static void set_aside(const struct spool *s, const char *id, int error, const char *why)
{
    AUTOFREE char *path = file_path(s, id, RECORD);
    AUTOFREE char *aside = file_path(s, id, BROKEN);
    if (error == ERR_TOO_BIG)
        why = "it is larger than a record can be";
    log_warn(0, "%s is no record (%s); it is now %s", path, why, path_base(aside));
    if (rename(path, aside) < 0)
        log_warn(-errno, "cannot rename %s, ignoring", path);
}

static void save_mended(const struct spool *s, const struct record *r)
{
    int e = spool_save(s, r);
    if (e < 0)
        log_warn(e, "cannot save the record of capture %s, ignoring", r->id);
}

/* Looks for the file without opening it: 1 there, 0 not there, or an error that says neither. */
static int is_there(const char *path, int64_t size)
{
    struct stat st;
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? 0 : -errno;
    return S_ISREG(st.st_mode) && (size == RECORD_UNKNOWN || st.st_size == size);
}

/* The result as it came; a crash may have left it under the part file's name. */
static int find_unpacked(const struct spool *s, const struct record *r)
{
    AUTOFREE char *result = spool_path(s, r->id, r->kind, SPOOL_RESULT);
    AUTOFREE char *part = file_path(s, r->id, PART);
    int there = is_there(result, RECORD_UNKNOWN);
    if (there != 0)
        return there;
    if (rename(part, result) == 0)
        return 1;
    return errno == ENOENT ? 0 : -errno;
}

/* A record that says there is a result: packed, as it came, or lost.  One that says packed without being so will be packed
 * again.  An error that may pass changes nothing. */
static int find_result(const struct spool *s, struct record *r)
{
    AUTOFREE char *packed = spool_path(s, r->id, r->kind, SPOOL_PACKED);
    int there = record_packed(r) ? is_there(packed, r->stored_bytes) : 0;
    if (there != 0)
        return there;
    there = find_unpacked(s, r);
    if (there < 0 || (there > 0 && !record_packed(r)))
        return there;
    if (there == 0) {
        log_warn(0, "capture %s has lost its result", r->id);
        record_warn(r, RECORD_RESULT_MISSING);
    }
    record_unpack(r);
    save_mended(s, r);
    return 0;
}

static void load(struct scan *scan, const char *id)
{
    char why[RECORD_TEXT];
    AUTORECORD struct record r;
    record_init(&r);
    int e = spool_read(scan->s, id, &r, why);
    if (e == ERR_SYNTAX || e == ERR_INVALID || e == ERR_TOO_BIG) {
        set_aside(scan->s, id, e, why);
        return;
    }
    if (e == -ENOENT)
        return;
    if (e == 0 && record_has_result(&r))
        e = find_result(scan->s, &r);
    if (e < 0) {
        log_err(e, "cannot read capture %s, trying again later", id);
        strlist_add(&scan->s->unread, id);
        return;
    }
    index_add(scan->s, &r);
    if (!record_ended(&r))
        scan->found(scan->arg, &r);
}

static void load_records(struct scan *scan, const char *name)
{
    char id[UUID_TEXT];
    const char *extension;
    if (split_name(name, id, &extension) && str_eq(extension, RECORD))
        load(scan, id);
}

static bool is_result(const char *extension, const char *more)
{
#define X(kind, word, ends)                                                                        \
    if (str_starts(extension, ends) && str_eq(extension + strlen(ends), more))                     \
        return true;
    RECORD_KINDS(X)
#undef X
    return false;
}

/* Is there no record that this file belongs to?  One that cannot be read still counts. */
static bool is_orphan(const struct spool *s, const char *id)
{
    AUTOFREE char *path = file_path(s, id, RECORD);
    struct stat st;
    return lstat(path, &st) < 0 && errno == ENOENT;
}

static bool is_old(const struct scan *scan, const char *id, const char *extension)
{
    AUTOFREE char *path = file_path(scan->s, id, extension);
    struct stat st;
    return lstat(path, &st) == 0 &&
           scan->now_ms - (int64_t)st.st_mtim.tv_sec * 1000 > scan->s->keep_ms;
}

/* What nobody can ask for goes: at once when it is half a file, after a week when a person might
 * want to look at it. */
static bool is_rubbish(const struct scan *scan, const char *id, const char *extension)
{
    const struct spool_entry *e = find(scan->s, id);
    if (spool_is_unread(scan->s, id))
        return false;
    if (str_eq(extension, RECORD_NEW) || str_eq(extension, EXPANDED) ||
        is_result(extension, ZST_NEW))
        return true;
    if (str_eq(extension, PART))
        return e ? e->ended : is_orphan(scan->s, id);
    if (str_eq(extension, BROKEN))
        return is_old(scan, id, extension);
    bool packed = is_result(extension, ZST);
    if (!packed && !is_result(extension, ""))
        return false;
    if (e)
        return e->ended && (e->result_bytes == RECORD_UNKNOWN || e->packed != packed);
    return is_orphan(scan->s, id) && is_old(scan, id, extension);
}

static void sweep(struct scan *scan, const char *name)
{
    char id[UUID_TEXT];
    const char *extension;
    if (split_name(name, id, &extension) && is_rubbish(scan, id, extension))
        remove_file(scan->s, id, extension);
}

static int each_file(struct scan *scan, void (*each)(struct scan *, const char *))
{
    DIR *dir = opendir(scan->s->dir);
    if (!dir)
        return -errno;
    const struct dirent *entry;
    while ((entry = readdir(dir)))
        each(scan, entry->d_name);
    (void)closedir(dir);
    return 0;
}

int spool_scan(struct spool *s, int64_t now_ms, spool_found_cb found, void *arg)
{
    struct scan scan = {.s = s, .now_ms = now_ms, .found = found, .arg = arg};
    int r = each_file(&scan, load_records);
    return r < 0 ? r : each_file(&scan, sweep);
}

bool spool_is_unread(const struct spool *s, const char *id)
{
    for (size_t i = 0; i < s->unread.count; i++)
        if (str_eq(s->unread.items[i], id))
            return true;
    return false;
}

void spool_scan_unread(struct spool *s, spool_found_cb found, void *arg)
{
    struct scan scan = {.s = s, .found = found, .arg = arg};
    AUTOSTRLIST struct strlist ids = s->unread;
    s->unread = (struct strlist){0};
    for (size_t i = 0; i < ids.count; i++)
        load(&scan, ids.items[i]);
}

/* ---- retention ------------------------------------------------------------------------------- */

/* Has the wall clock not been set for so long that it can be believed? */
static bool is_steady(struct spool *s, int64_t now_ms, int64_t steady_ms)
{
    int64_t off = now_ms - steady_ms - s->clock_ms;
    if (!s->clock_ms || off > DRIFT_MS || off < -DRIFT_MS) {
        s->clock_ms = now_ms - steady_ms;
        s->clock_since_ms = steady_ms;
    }
    return steady_ms - s->clock_since_ms >= s->steady_ms;
}

static bool may_go(const struct spool *s, const struct spool_entry *e)
{
    return e->ended && !e->held && !spool_is_owed(s, e);
}

static void forget(const struct spool *s, const struct spool_entry *e)
{
    /* The record last: a result without one would never be found again. */
    remove_result(s, e);
    remove_file(s, e->id, RECORD);
}

/* Those that ended before `before_ms`, and, the oldest first, `surplus` others. */
static void forget_records(struct spool *s, bool of_console, int64_t before_ms, size_t surplus)
{
    size_t kept = 0;
    for (size_t i = 0; i < s->count; i++) {
        const struct spool_entry *e = &s->entries[i];
        bool meant = e->from_console == of_console && may_go(s, e);
        if (!meant || (e->ended_ms >= before_ms && surplus == 0)) {
            s->entries[kept++] = *e;
            continue;
        }
        forget(s, e);
        surplus -= surplus > 0;
    }
    s->count = kept;
}

static size_t surplus_of(const struct spool *s)
{
    return s->count > s->limit_records ? s->count - s->limit_records : 0;
}

/* False: not now, its record cannot be read. */
static bool drop_result(struct spool *s, struct spool_entry *e)
{
    char why[RECORD_TEXT];
    AUTORECORD struct record r;
    record_init(&r);
    int error = spool_read(s, e->id, &r, why);
    if (error < 0 && error > ERR_FAILED && error != -ENOENT) {
        log_warn(error, "cannot read the record of capture %s, keeping its result for now", e->id);
        return false;
    }
    if (error == 0) {
        record_warn(&r, RECORD_RESULT_REMOVED);
        error = spool_save(s, &r);
    }
    /* A full disk is what makes room necessary. */
    if (error < 0)
        log_warn(error, "cannot note in the record of capture %s that its result is removed",
                 e->id);
    remove_result(s, e);
    e->result_bytes = RECORD_UNKNOWN;
    return true;
}

static int64_t total_of_results(const struct spool *s, const struct spool_entry **ret_newest)
{
    int64_t total = 0;
    *ret_newest = NULL;
    for (size_t i = 0; i < s->count; i++) {
        if (s->entries[i].result_bytes == RECORD_UNKNOWN)
            continue;
        *ret_newest = &s->entries[i];
        total += s->entries[i].result_bytes;
    }
    return total;
}

static void drop_results(struct spool *s, bool of_console)
{
    const struct spool_entry *newest;
    int64_t total = total_of_results(s, &newest);
    for (size_t i = 0; i < s->count && total > s->limit_bytes; i++) {
        struct spool_entry *e = &s->entries[i];
        if (e->from_console != of_console || e == newest || e->result_bytes == RECORD_UNKNOWN ||
            e->held || spool_is_owed(s, e))
            continue;
        int64_t bytes = e->result_bytes;
        if (drop_result(s, e))
            total -= bytes;
    }
}

void spool_retain(struct spool *s, int64_t now_ms, int64_t steady_ms)
{
    int64_t before_ms = is_steady(s, now_ms, steady_ms) ? now_ms - s->keep_ms : INT64_MIN;
    forget_records(s, true, before_ms, surplus_of(s));
    forget_records(s, false, before_ms, surplus_of(s));
    drop_results(s, true);
    drop_results(s, false);
}
