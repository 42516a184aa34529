#include "supervisor/own_log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/io.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"

enum { FILE_MODE = 0600, COPY_BYTES = 64 << 10 };

/* The steps. */
static void on_timer(uv_timer_t *timer);
static void turn(uv_work_t *work); /* in a thread */
static void on_turned(uv_work_t *work, int status);

void own_log_open(struct own_log *o, uv_loop_t *loop, const char *home)
{
    *o = (struct own_log){.path = path_join(home, "proctor.log"),
                          .old_path = path_join(home, "proctor.log.1"),
                          .limit_bytes = OWN_LOG_BYTES};
    (void)uv_timer_init(loop, &o->timer);
    o->timer.data = o->work.data = o;
    (void)uv_timer_start(&o->timer, on_timer, OWN_LOG_LOOK_MS, OWN_LOG_LOOK_MS);
}

void own_log_close(struct own_log *o)
{
    uv_close((uv_handle_t *)&o->timer, NULL);
}

void own_log_clear(struct own_log *o)
{
    free(o->path);
    free(o->old_path);
    o->path = o->old_path = NULL;
}

/* ---- looking --------------------------------------------------------------------------------- */

/* Is the open file the one of that name, and longer than that?  1, 0, or an error. */
static int is_due(int fd, const char *path, int64_t limit_bytes)
{
    struct stat open_file, named;
    if (fstat(fd, &open_file) < 0 || lstat(path, &named) < 0)
        return errno == ENOENT ? 0 : -errno;
    bool same = open_file.st_dev == named.st_dev && open_file.st_ino == named.st_ino;
    return same && S_ISREG(named.st_mode) && named.st_size > limit_bytes;
}

static void on_timer(uv_timer_t *timer)
{
    own_log_look(timer->data);
}

void own_log_look(struct own_log *o)
{
    if (o->busy || is_due(STDERR_FILENO, o->path, o->limit_bytes) <= 0)
        return;
    o->busy = uv_queue_work(o->timer.loop, &o->work, turn, on_turned) == 0;
}

/* ---- turning --------------------------------------------------------------------------------- */

static void turn(uv_work_t *work)
{
    struct own_log *o = work->data;
    o->result = own_log_turn(STDERR_FILENO, o->path, o->old_path, o->limit_bytes);
}

static void on_turned(uv_work_t *work, int status)
{
    struct own_log *o = work->data;
    o->busy = false;
    if (o->result < 0)
        log_warn(o->result, "cannot make room in %s", o->path);
    else if (o->result > 0)
        log_info("what was here before is in %s", o->old_path);
}

/* Until there is nothing more to copy: others write meanwhile.  Whoever writes faster than we copy is left behind. */
static int copy_all(int from, int to, int64_t most)
{
    AUTOFREE char *bytes = xcalloc(1, COPY_BYTES);
    for (int64_t copied = 0;;) {
        ssize_t n = read(from, bytes, COPY_BYTES);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0 || copied > most)
            return n < 0 ? -errno : 0;
        int r = io_write_all(to, bytes, (size_t)n);
        if (r < 0)
            return r;
        copied += n;
    }
}

int own_log_turn(int fd, const char *path, const char *old_path, int64_t limit_bytes)
{
    int r = is_due(fd, path, limit_bytes);
    if (r <= 0)
        return r;
    AUTOFREE char *new_path = xasprintf("%s.tmp", old_path);
    AUTOCLOSE int from = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    AUTOCLOSE int to =
        from < 0 ? -1
                 : open(new_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, FILE_MODE);
    if (to < 0)
        return -errno;
    r = copy_all(from, to, 4 * limit_bytes);
    if (r == 0 && rename(new_path, old_path) < 0)
        r = -errno;
    if (r < 0) {
        (void)unlink(new_path);
        /* A full disk must not make it grow for ever: the newest lines count more than these. */
        if (r != -ENOSPC && r != -EDQUOT)
            return r;
    }
    return ftruncate(fd, 0) < 0 ? -errno : 1;
}
