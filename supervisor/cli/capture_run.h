/* capture_run.h -- runs captures on several processes at the same time, with their progress on
 * standard error.
 *
 * Ctrl-C ends them early and keeps the results, a second one drops them, a third one no longer
 * waits. */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/wire/msg.h"

struct client;

struct capture_job {
    char *label;    /* "api-0"; owned */
    json_t *params; /* of capture.start; owned */
    int result;     /* filled in: 0 or the error's code */
    struct msg answer;
    /* private */
    const char *phase;
    struct capture_run *run;
};

/* Returns 0 when all are answered, else why not.  `duration_ms` 0: until stopped. */
int capture_run(struct client *c, struct capture_job *jobs, size_t count, int64_t duration_ms);

void capture_jobs_clear(struct capture_job *jobs, size_t count);
