#include "lib/base/loop.h"

#include <time.h>

static void close_open_handle(uv_handle_t *handle, void *arg)
{
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

int loop_end(uv_loop_t *loop)
{
    uv_walk(loop, close_open_handle, NULL);
    while (uv_run(loop, UV_RUN_DEFAULT) != 0)
        continue;
    return uv_loop_close(loop);
}

int64_t loop_wall_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}
