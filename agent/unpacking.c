#include "agent/unpacking.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/packing.h"
#include "agent/record.h"
#include "agent/spool.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* Each may need as much room on the disk as its result has bytes. */
enum { WAITING_MAX = 16, FILE_MODE = 0600, BEAT_MS = 3000 };

struct unpack {
    struct list link;
    struct unpacking *owner;
    uv_work_t work;
    char *request;
    struct record record;
    char *expanded_path;
    int in_fd;
    int result; /* a descriptor, or an error */
};

/* The steps, in the order in which they run. */
static void begin_next(struct unpacking *u);
static void expand(uv_work_t *work); /* in a thread */
static void on_expanded(uv_work_t *work, int status);

void unpacking_init(struct unpacking *u, uv_loop_t *loop, const struct spool *spool,
                    unpacking_beat_cb waits, unpacking_cb done, void *arg)
{
    *u = (struct unpacking){
        .loop = loop, .spool = spool, .beat_ms = BEAT_MS, .waits = waits, .done = done, .arg = arg};
    list_init(&u->waiting);
    (void)uv_timer_init(loop, &u->beat);
    u->beat.data = u;
}

static void on_beat(uv_timer_t *timer)
{
    struct unpacking *u = timer->data;
    struct unpack *a;
    LIST_EACH(a, &u->waiting)
    u->waits(u->arg, a->request);
}

int unpacking_add(struct unpacking *u, const char *request, struct record *r)
{
    if (u->closing)
        return ERR_STOPPING;
    if (list_count(&u->waiting) >= WAITING_MAX)
        return ERR_BUSY;
    struct unpack *a = xcalloc(1, sizeof *a);
    *a = (struct unpack){.owner = u, .record = *r, .in_fd = -1};
    record_init(r);
    a->work.data = a;
    a->request = xstrdup(request);
    a->expanded_path = spool_path(u->spool, a->record.id, a->record.kind, SPOOL_EXPANDED);
    list_add(&u->waiting, &a->link, a);
    if (!uv_is_active((uv_handle_t *)&u->beat))
        (void)uv_timer_start(&u->beat, on_beat, u->beat_ms, u->beat_ms);
    if (!u->current)
        begin_next(u);
    return 0;
}

static void unpack_free(struct unpack *a)
{
    list_remove(&a->link);
    if (a->in_fd >= 0)
        (void)close(a->in_fd);
    record_clear(&a->record);
    free(a->request);
    free(a->expanded_path);
    free(a);
}

void unpacking_close(struct unpacking *u)
{
    struct unpack *a;
    if (u->closing)
        return;
    u->closing = true;
    uv_close((uv_handle_t *)&u->beat, NULL);
    LIST_EACH(a, &u->waiting)
    {
        if (a != u->current)
            unpack_free(a);
        else if (a->in_fd >= 0)
            packing_cut(a->in_fd);
    }
}

/* ---- the steps ------------------------------------------------------------------------------- */

static void begin_next(struct unpacking *u)
{
    if (list_empty(&u->waiting))
        return;
    struct unpack *a = u->waiting.next->owner;
    u->current = a;
    int fd = spool_open_packed(u->spool, a->record.id, a->record.kind, a->record.stored_bytes);
    if (fd < 0)
        a->result = fd;
    else
        a->in_fd = fd;
    int r = uv_queue_work(u->loop, &a->work, expand, on_expanded);
    assert(r == 0);
}

/* To write with, and the same file to read from; on failure neither. */
static int open_nameless(const char *dir, int *ret_write)
{
    char again[64];
    AUTOCLOSE int fd = open(dir, O_TMPFILE | O_WRONLY | O_CLOEXEC, FILE_MODE);
    if (fd < 0)
        return -errno;
    (void)snprintf(again, sizeof again, "/proc/self/fd/%d", fd);
    int read_fd = open(again, O_RDONLY | O_CLOEXEC);
    if (read_fd < 0)
        return -errno;
    *ret_write = TAKE_FD(fd);
    return read_fd;
}

/* For a file system that cannot, or without /proc. */
static int open_named(const char *path, int *ret_write)
{
    if (unlink(path) < 0 && errno != ENOENT)
        return -errno;
    AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0)
        return -errno;
    int read_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int error = -errno;
    if (unlink(path) < 0 || read_fd < 0) {
        if (read_fd >= 0)
            (void)close(read_fd);
        return error;
    }
    *ret_write = TAKE_FD(fd);
    return read_fd;
}

static int check_sums(const struct record *r, const struct blob_sums *sums)
{
    char text[SHA256_TEXT];
    sha256_to_hex(sums->stored_sha256, text);
    if (!str_eq(text, r->stored_sha256))
        return ERR_MISMATCH;
    sha256_to_hex(sums->sha256, text);
    return str_eq(text, r->sha256) ? 0 : ERR_MISMATCH;
}

static int expand_to(const struct unpack *a)
{
    AUTOCLOSE int out = -1;
    AUTOCLOSE int in = open_nameless(a->owner->spool->dir, &out);
    if (in < 0)
        in = open_named(a->expanded_path, &out);
    if (in < 0)
        return in;
    struct blob_sums sums;
    int r = blob_expand(a->in_fd, 0, (uint64_t)a->record.stored_bytes, out, LIMIT_RESULT, &sums);
    if (r == 0)
        r = check_sums(&a->record, &sums);
    return r < 0 ? r : TAKE_FD(in);
}

static void expand(uv_work_t *work)
{
    struct unpack *a = work->data;
    if (a->in_fd >= 0)
        a->result = expand_to(a);
}

static void on_expanded(uv_work_t *work, int status)
{
    struct unpack *a = work->data;
    struct unpacking *u = a->owner;
    u->current = NULL;
    list_remove(&a->link);
    if (!u->closing)
        u->done(u->arg, a->request, &a->record, a->result);
    else if (a->result >= 0)
        (void)close(a->result);
    unpack_free(a);
    if (list_empty(&u->waiting) && !u->closing)
        (void)uv_timer_stop(&u->beat);
    if (!u->current)
        begin_next(u);
}
