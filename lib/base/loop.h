/* loop.h -- small helpers over libuv that every daemon needs. */
#pragma once

#include <stdint.h>
#include <uv.h>

/* Ends a loop at shutdown: closes what is still open and runs until all close callbacks have run.  Returns
 * uv_loop_close()'s result; -EBUSY means that a handle was not ours to close. */
int loop_end(uv_loop_t *loop);

/* Milliseconds since the epoch, for records that people and other hosts read. */
int64_t loop_wall_ms(void);
