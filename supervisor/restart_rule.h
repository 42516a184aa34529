/* restart_rule.h -- what follows when a process has ended: PM2's restart machine, as a pure function. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/instance_state.h"

struct app_spec;

/* How often and when an instance was started; all times are monotonic milliseconds. */
struct restart_history {
    int64_t created_ms; /* the last start that a person asked for */
    int64_t started_ms; /* this process */
    unsigned unstable;  /* quick exits since created_ms */
};

/* Decides, and counts a quick exit in `h`.
 *
 * An exit is quick when the process lived less than min_uptime within min_uptime * max_restarts of `created_ms`; after
 * max_restarts quick exits the instance is errored.  `stopping`: the end was asked for; `again`: and a start after it. */
enum instance_event restart_rule(const struct app_spec *spec, struct restart_history *h,
                                 int64_t now_ms, bool stopping, bool again);
