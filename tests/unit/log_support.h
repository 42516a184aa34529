/* log_support.h -- a log stream with a keeper behind it, which a test may kill and adopt. */
#pragma once

#include "tests/unit/fake_keeper.h"

#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "supervisor/log_open.h"
#include "supervisor/logstream.h"

static uv_loop_t loop;
static struct logstream stream;
static struct slot_stream kept;
static struct fake_keeper keeper;
static char *path;
static int fds_before;
static unsigned closed;

static inline void on_closed(void *arg)
{
    closed++;
}

static inline int warm_up(void **state)
{
    (void)setenv("PROCTOR_LOG", "none", 1);
    log_init("test", LOG_LEVEL_ERROR);
    (void)signal(SIGXFSZ, SIG_IGN);
    return uv_loop_init(&loop) < 0 ? -1 : loop_end(&loop);
}

static inline int set_up(void **state)
{
    fds_before = count_fds();
    closed = 0;
    kept = (struct slot_stream){0};
    keeper = (struct fake_keeper){0};
    if (make_folder(state) < 0 || uv_loop_init(&loop) < 0)
        return -1;
    path = in_folder("api-0.out");
    return 0;
}

static inline int tear_down(void **state)
{
    free(path);
    if (loop_end(&loop) != 0 || count_fds() != fds_before)
        return -1;
    return remove_folder(state);
}

static inline void open_stream(void)
{
    fake_keeper_begin(&keeper);
    assert_int_equal(logstream_open(&stream, &loop, path, 65536, &keeper.link, "i0.out", &kept), 0);
}

static inline void close_stream(void)
{
    logstream_close(&stream, on_closed, NULL);
    for (closed = 0; !closed;)
        (void)uv_run(&loop, UV_RUN_ONCE);
    fake_keeper_work(&keeper);
    assert_int_equal(keeper.count, 0);
    fake_keeper_end(&keeper);
}

/* What SIGKILL leaves: the keeper's descriptors, the slot, the files. */
static inline void kill_stream(void)
{
    fake_keeper_work(&keeper);
    uv_close((uv_handle_t *)&stream.poll, NULL);
    uv_close((uv_handle_t *)&stream.pause, NULL);
    while (uv_run(&loop, UV_RUN_NOWAIT))
        continue;
    fake_keeper_killed(&keeper);
    log_close_files(&stream);
}

static inline void kill_and_adopt(void)
{
    kill_stream();
    open_stream();
}

/* As the app does it, but without blocking: how much was taken. */
static inline size_t app_writes(const char *data, size_t len)
{
    (void)fcntl(stream.pipe_write, F_SETFL, O_NONBLOCK);
    ssize_t n = write(stream.pipe_write, data, len);
    return n > 0 ? (size_t)n : 0;
}

static inline void app_says(const char *text)
{
    assert_int_equal(app_writes(text, strlen(text)), strlen(text));
}

static inline void run_for_ms(unsigned ms)
{
    uint64_t end = uv_hrtime() + ms * 1000000u;
    while (uv_hrtime() < end) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        (void)usleep(500);
    }
}

static inline void file_becomes(const char *file, struct buf *out)
{
    assert_int_equal(path_read(file, out), 0);
}
