/* capture_run.h -- runs captures on several processes of this host at the same time, watched
 * (capture_watch.h). */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct capture_job;
struct client;

/* Fills in `result` and `answer` of each job.  Returns 0 when all are answered, else why not.
 * `duration_ms` 0: until stopped. */
int capture_run(struct client *c, struct capture_job *jobs, size_t count, int64_t duration_ms);
