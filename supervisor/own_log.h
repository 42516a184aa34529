/* own_log.h -- keeps $PROCTOR_HOME/proctor.log, which we, the agent and the probes write to, from growing for ever.
 *
 * Past OWN_LOG_BYTES it is copied to proctor.log.1 (what was there goes) and emptied.  Not renamed: all of them have inherited one
 * open file, and an agent or a probe would go on writing to the renamed one for as long as it lives.  All write with O_APPEND, so
 * what comes after the emptying begins at the file's start.  A line that is written in the microseconds between the last copied
 * byte and the emptying is lost.  Only when standard error is that very file: in the foreground it is the terminal's. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

enum { OWN_LOG_BYTES = 16 << 20, OWN_LOG_LOOK_MS = 5000 };

struct own_log {
    char *path;
    char *old_path;
    int64_t limit_bytes; /* own_log_open() sets OWN_LOG_BYTES, tests less */
    uv_timer_t timer;
    uv_work_t work;
    int result;
    bool busy;
};

/* Looks after `home`/proctor.log every few seconds from now on. */
void own_log_open(struct own_log *o, uv_loop_t *loop, const char *home);

/* Looks now. */
void own_log_look(struct own_log *o);

/* Closes the timer; a copy that is under way is finished by the loop. */
void own_log_close(struct own_log *o);

/* After the loop. */
void own_log_clear(struct own_log *o);

/* Copies and empties the file behind `fd` if it is `path` and has more than `limit_bytes`.  1: it did, 0, or an error; then the log
 * is as it was.  Blocks. */
int own_log_turn(int fd, const char *path, const char *old_path, int64_t limit_bytes);
