#include "supervisor/log_archives.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/archive.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/pack/zst_file.h"

/* One pass of the worker: packs `path` (NULL: finds what is left to pack), then looks at what is too much. */
struct log_job {
    struct list link;
    char *path;
    unsigned keep;
    struct archives found;
    char *dir;
    int64_t quota_bytes;
    const volatile bool *stop;
    bool unwanted; /* thrown away when it is done */
    int result;
    int64_t too_much;
};

static void next_job(struct log_archives *a);
static void work(uv_work_t *work); /* in a thread */
static void on_worked(uv_work_t *work, int status);

/* ---- packing --------------------------------------------------------------------------------- */

/* Times are those of the log: that is how a reader that still has the old file open knows it again. */
static int finish(int from, int to)
{
    struct stat st;
    if (fstat(from, &st) < 0)
        return -errno;
    const struct timespec times[] = {st.st_atim, st.st_mtim};
    (void)(fchown(to, st.st_uid, st.st_gid) + 1);
    (void)fchmod(to, st.st_mode & 0777);
    if (futimens(to, times) < 0 || fsync(to) < 0)
        return -errno;
    return 0;
}

static int pack_one(const char *path, const volatile bool *stop)
{
    AUTOFREE char *packed = xasprintf("%s.zst", path), *new_path = xasprintf("%s.tmp", packed);
    AUTOCLOSE int from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (from < 0)
        return errno == ENOENT ? 0 : -errno;
    AUTOCLOSE int to = open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (to < 0)
        return -errno;
    int r = zst_file_pack(from, to, stop);
    if (r == 0)
        r = finish(from, to);
    if (r == 0 && rename(new_path, packed) < 0)
        r = -errno;
    if (r < 0)
        (void)unlink(new_path);
    else
        (void)unlink(path);
    return r;
}

/* "…/api-0.out" of "…/api-0.out.20261120T114512.123Z"; NULL: that is no archive. */
static char *log_path_of(const char *path)
{
    struct archive_name name;
    const char *base = path_base(path);
    return archive_name_parse(base, &name) ? xstrndup(path, (size_t)(base - path) + name.log_len)
                                           : NULL;
}

/* A rotation that is under way, or that nobody has finished: what is in the log goes on being the log's. */
static bool is_log_itself(const char *path)
{
    struct stat archive, log;
    AUTOFREE char *log_path = log_path_of(path);
    return log_path && lstat(path, &archive) == 0 && lstat(log_path, &log) == 0 &&
           archive.st_dev == log.st_dev && archive.st_ino == log.st_ino;
}

int log_archive_pack(const char *path, const volatile bool *stop)
{
    AUTOFREE char *index = xasprintf("%s.idx", path);
    if (is_log_itself(path))
        return 0;
    /* The index first: a reader that finds the packed log finds its times too. */
    int r = pack_one(index, stop);
    return r < 0 ? r : pack_one(path, stop);
}

/* ---- throwing away --------------------------------------------------------------------------- */

static void throw_away(const char *dir, struct archive *item)
{
    static const char *const suffixes[] = {"", ".zst", ".idx", ".idx.zst"};
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        AUTOFREE char *path = xasprintf("%s/%s%s", dir, item->name, suffixes[i]);
        (void)unlink(path);
    }
    item->bytes = 0;
}

static bool is_of(const struct archive *item, const char *log)
{
    return strlen(log) == item->log_len && strncmp(item->name, log, item->log_len) == 0;
}

int64_t log_archives_trim(const char *dir, const char *log, unsigned keep, int64_t quota_bytes)
{
    AUTOARCHIVES struct archives a = {0};
    if (archives_read(&a, dir, NULL) < 0)
        return 0;
    unsigned of_log = 0;
    for (size_t i = a.count; log && keep > 0 && i-- > 0;)
        if (is_of(&a.items[i], log) && ++of_log > keep)
            throw_away(dir, &a.items[i]);
    int64_t total = a.other_bytes;
    for (size_t i = 0; i < a.count; i++)
        total += a.items[i].bytes;
    for (size_t i = 0; i < a.count && total > quota_bytes; i++) {
        total -= a.items[i].bytes;
        if (a.items[i].bytes > 0)
            throw_away(dir, &a.items[i]);
    }
    return total > quota_bytes ? total - quota_bytes : 0;
}

/* "api-0.out" of ".../api-0.out.20261120T114512.123Z". */
static char *log_of(const char *path)
{
    struct archive_name name;
    const char *base = path_base(path);
    return archive_name_parse(base, &name) ? xstrndup(base, name.log_len) : NULL;
}

static void throw_all_away(const char *dir, const char *log)
{
    AUTOARCHIVES struct archives found = {0};
    (void)archives_read(&found, dir, log);
    for (size_t i = 0; i < found.count; i++)
        throw_away(dir, &found.items[i]);
}

/* ---- jobs ------------------------------------------------------------------------------------ */

void log_archives_init(struct log_archives *a, uv_loop_t *loop, const char *dir)
{
    *a = (struct log_archives){.loop = loop, .dir = xstrdup(dir), .quota_bytes = LOG_QUOTA_DEFAULT};
    a->work.data = a;
    list_init(&a->jobs);
}

static void free_job(struct log_job *job)
{
    list_remove(&job->link);
    archives_clear(&job->found);
    free(job->path);
    free(job->dir);
    free(job);
}

void log_archives_stop(struct log_archives *a)
{
    a->stop = true;
}

void log_archives_clear(struct log_archives *a)
{
    struct log_job *job;
    LIST_EACH(job, &a->jobs)
    free_job(job);
    free(a->dir);
    *a = (struct log_archives){0};
}

static void add_job(struct log_archives *a, const char *path, unsigned keep)
{
    struct log_job *job = xcalloc(1, sizeof *job);
    job->path = xstrdup_null(path);
    job->keep = keep;
    job->dir = xstrdup(a->dir);
    job->stop = &a->stop;
    list_add(&a->jobs, &job->link, job);
    next_job(a);
}

void log_archives_add(struct log_archives *a, const char *path, unsigned keep)
{
    add_job(a, path, keep);
}

void log_archives_scan(struct log_archives *a)
{
    if (a->scanning)
        return;
    a->scanning = true;
    add_job(a, NULL, 0);
}

static void next_job(struct log_archives *a)
{
    if (a->job || a->stop || list_empty(&a->jobs))
        return;
    a->job = a->jobs.next->owner;
    list_remove(&a->job->link);
    a->job->quota_bytes = a->quota_bytes;
    if (uv_queue_work(a->loop, &a->work, work, on_worked) == 0)
        return;
    free_job(a->job);
    a->job = NULL;
}

/* Half packed files of an earlier life. */
static void remove_half(const char *dir, const struct archive *item)
{
    static const char *const suffixes[] = {".zst.tmp", ".idx.zst.tmp"};
    for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
        AUTOFREE char *path = xasprintf("%s/%s%s", dir, item->name, suffixes[i]);
        (void)unlink(path);
    }
}

static bool is_left(const struct archive *item)
{
    return item->is_plain || item->index_plain;
}

/* Here, since a folder of many thousand archives takes its time. */
static void find_left(struct log_job *job)
{
    (void)archives_read(&job->found, job->dir, NULL);
    for (size_t i = 0; i < job->found.count; i++)
        if (is_left(&job->found.items[i]))
            remove_half(job->dir, &job->found.items[i]);
}

static void work(uv_work_t *work)
{
    struct log_job *job = ((struct log_archives *)work->data)->job;
    AUTOFREE char *log_path = job->path ? log_path_of(job->path) : NULL;
    const char *log = log_path ? path_base(log_path) : NULL;
    /* Room first: a full disk takes no packed file. */
    (void)log_archives_trim(job->dir, log, job->keep, job->quota_bytes);
    if (job->path)
        job->result = log_archive_pack(job->path, job->stop);
    else
        find_left(job);
    job->too_much = log_archives_trim(job->dir, log, job->keep, job->quota_bytes);
}

/* One that is being rotated just now comes twice, or is gone again: both are nothing to pack. */
static void add_left(struct log_archives *a, const struct archives *found)
{
    for (size_t i = 0; i < found->count; i++) {
        AUTOFREE char *path = path_join(a->dir, found->items[i].name);
        if (is_left(&found->items[i]))
            log_archives_add(a, path, 0);
    }
}

static void on_worked(uv_work_t *work, int status)
{
    struct log_archives *a = work->data;
    struct log_job *job = a->job;
    a->job = NULL;
    if (job->result < 0 && job->result != ERR_CANCELLED)
        log_warn(job->result, "%s: stays as it is, it cannot be packed", job->path);
    if (job->too_much > a->too_much)
        log_warn(0, "%s: %lld bytes more than log_quota, and no archive is left to throw away",
                 a->dir, (long long)job->too_much);
    a->too_much = job->too_much;
    a->scanning = a->scanning && job->path;
    AUTOFREE char *unwanted = job->unwanted ? log_of(job->path) : NULL;
    if (unwanted)
        throw_all_away(a->dir, unwanted);
    add_left(a, &job->found);
    free_job(job);
    next_job(a);
}

void log_archives_drop(struct log_archives *a, const char *log)
{
    AUTOFREE char *busy = a->job && a->job->path ? log_of(a->job->path) : NULL;
    if (busy && strcmp(busy, log) == 0)
        a->job->unwanted = true;
    throw_all_away(a->dir, log);
}
