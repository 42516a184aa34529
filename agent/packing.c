#include "agent/packing.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "agent/amend.h"
#include "agent/spool.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"

/* After a failure (no room, most of the time) everything is tried again, later each time. */
enum { RETRY_MIN_MS = 1000, RETRY_MAX_MS = 600000, FILE_MODE = 0600 };

/* The steps, in the order in which they run. */
static bool begin(struct packing *p, struct spool_entry *e);
static void compress(uv_work_t *work); /* in a thread */
static void on_compressed(uv_work_t *work, int status);
static bool note_sums(struct record *r, void *arg); /* in a thread */
static void on_noted(void *arg, int result, const struct record *r);
static void remove_raw(uv_work_t *work); /* in a thread */
static void on_removed(uv_work_t *work, int status);
static void on_again(uv_timer_t *timer);

void packing_init(struct packing *p, uv_loop_t *loop, struct spool *spool, struct amends *amends,
                  packing_cb done, void *arg)
{
    *p = (struct packing){
        .loop = loop, .spool = spool, .amends = amends, .done = done, .arg = arg, .in_fd = -1};
    p->work.data = p;
    (void)uv_timer_init(loop, &p->again);
    p->again.data = p;
}

void packing_cut(int fd)
{
    AUTOCLOSE int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing >= 0)
        (void)dup3(nothing, fd, O_CLOEXEC);
}

void packing_close(struct packing *p)
{
    if (p->closing)
        return;
    p->closing = true;
    if (p->in_fd >= 0)
        packing_cut(p->in_fd);
    uv_close((uv_handle_t *)&p->again, NULL);
}

static void queue(struct packing *p, uv_work_cb work, uv_after_work_cb after)
{
    int r = uv_queue_work(p->loop, &p->work, work, after);
    assert(r == 0);
}

static void release(struct packing *p)
{
    if (p->in_fd >= 0)
        (void)close(p->in_fd);
    p->in_fd = -1;
    free(p->raw_path);
    free(p->new_path);
    free(p->packed_path);
    p->raw_path = p->new_path = p->packed_path = NULL;
    p->busy = false;
}

static void try_again(struct packing *p)
{
    bool first = p->retry_ms == 0;
    if (uv_is_active((uv_handle_t *)&p->again))
        return;
    p->retry_ms = first ? RETRY_MIN_MS : p->retry_ms * 2;
    if (p->retry_ms > RETRY_MAX_MS)
        p->retry_ms = RETRY_MAX_MS;
    (void)uv_timer_start(&p->again, on_again, (uint64_t)p->retry_ms, 0);
}

/* It is left for later; the others go on. */
static void put_off(struct packing *p, const char *id, int r)
{
    if (p->retry_ms == 0)
        log_warn(r, "cannot compress the result of capture %s, trying again later", id);
    else
        log_debug("cannot compress the result of capture %s: %s", id, err_str(r));
    try_again(p);
}

static void on_again(uv_timer_t *timer)
{
    struct packing *p = timer->data;
    spool_unstick(p->spool);
    packing_run(p);
}

/* ---- the steps ------------------------------------------------------------------------------- */

void packing_run(struct packing *p)
{
    struct spool_entry *e;
    while (!p->busy && !p->closing && (e = spool_next_unpacked(p->spool)))
        if (begin(p, e))
            return;
}

static void on_gone(void *arg, int result, const struct record *r)
{
    struct packing *p = arg;
    if (result == 0)
        p->done(p->arg, r);
    else if (result != -ENOENT && result != ERR_CANCELLED && !p->closing)
        try_again(p);
}

/* False: it could not be, and was put off. */
static bool begin(struct packing *p, struct spool_entry *e)
{
    char id[UUID_TEXT];
    (void)snprintf(id, sizeof id, "%s", e->id);
    AUTOFREE char *raw = spool_path(p->spool, id, e->kind, SPOOL_RESULT);
    int fd = open(raw, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    int error = fd < 0 ? -errno : 0;
    /* Until it has been packed, or until the next try: each is begun once. */
    e->stuck = true;
    if (error == -ENOENT) {
        log_warn(0, "capture %s has lost its result, %s", id, raw);
        amend_start(p->amends, id, amend_missing, on_gone, p);
        return false;
    }
    if (error < 0) {
        put_off(p, id, error);
        return false;
    }
    (void)snprintf(p->id, sizeof p->id, "%s", id);
    p->new_path = spool_path(p->spool, id, e->kind, SPOOL_PACKED_NEW);
    p->packed_path = spool_path(p->spool, id, e->kind, SPOOL_PACKED);
    p->raw_path = TAKE(raw);
    p->in_fd = fd;
    p->busy = true;
    queue(p, compress, on_compressed);
    return true;
}

static int compress_to(struct packing *p)
{
    AUTOCLOSE int fd =
        open(p->new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (fd < 0)
        return -errno;
    int r = blob_compress(p->in_fd, fd, &p->sums);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    return r;
}

static void compress(uv_work_t *work)
{
    struct packing *p = work->data;
    p->result = compress_to(p);
    if (p->result < 0)
        (void)unlink(p->new_path);
}

/* Only now is it known whether the thread has read all: see packing_cut(). */
static int take_name(struct packing *p)
{
    int r = p->result;
    if (p->closing)
        r = ERR_STOPPING;
    if (r == 0 && rename(p->new_path, p->packed_path) < 0)
        r = -errno;
    if (r < 0)
        (void)unlink(p->new_path);
    return r;
}

static void on_compressed(uv_work_t *work, int status)
{
    struct packing *p = work->data;
    int r = take_name(p);
    if (r == 0) {
        amend_start(p->amends, p->id, note_sums, on_noted, p);
        return;
    }
    release(p);
    if (p->closing)
        return;
    put_off(p, p->id, r);
    packing_run(p);
}

/* Retention may have been faster. */
static bool note_sums(struct record *r, void *arg)
{
    const struct packing *p = arg;
    if (!record_has_result(r))
        return false;
    record_pack(r, &p->sums);
    return true;
}

static void on_noted(void *arg, int result, const struct record *r)
{
    struct packing *p = arg;
    if (result == 0) {
        p->retry_ms = 0;
        log_debug("capture %s: %llu bytes are now %llu", p->id, (unsigned long long)p->sums.bytes,
                  (unsigned long long)p->sums.stored_bytes);
        p->done(p->arg, r);
        queue(p, remove_raw, on_removed);
        return;
    }
    /* There is no record that says so: it is of no use, and the next one would overwrite it. */
    (void)unlink(p->packed_path);
    release(p);
    if (p->closing)
        return;
    if (result != ERR_CANCELLED && result != -ENOENT)
        put_off(p, p->id, result);
    packing_run(p);
}

static void remove_raw(uv_work_t *work)
{
    const struct packing *p = work->data;
    if (unlink(p->raw_path) < 0 && errno != ENOENT)
        log_warn(-errno, "cannot remove %s, ignoring", p->raw_path);
}

static void on_removed(uv_work_t *work, int status)
{
    struct packing *p = work->data;
    release(p);
    packing_run(p);
}
