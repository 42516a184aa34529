/* feed.h -- what the supervisor tells about all processes, asked anew every second.
 *
 * A supervisor that is gone is asked again and again; what it has told last stays. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/wire/client.h"
#include "supervisor/cli/monit/spark.h"

struct feed_row {
    char *label; /* "web-0" */
    char *status;
    int64_t pm_id, pid, restarts, uptime_ms;
    double cpu;
    int64_t memory, tree_memory, processes, fds, threads;
    double cpu_most, memory_most;                /* of what was asked for */
    double cpus[SPARK_MAX], memories[SPARK_MAX]; /* the last is the present one; negative: none */
};

struct feed {
    struct client client;
    bool connected;
    int error; /* why not */
    struct feed_row *rows;
    size_t count;
};

/* True when the present wait shall end: somebody wants to quit. */
typedef bool (*feed_stop_cb)(void);

/* Asks, connecting before when needed: 0, or why there is no answer.  Takes at most two seconds. */
int feed_ask(struct feed *f, feed_stop_cb stop);
void feed_clear(struct feed *f);
