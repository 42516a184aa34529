/* history.h -- what one instance has used over the last hour: one sample every 10 s, all of them in one page.
 *
 * Pure: the page is kept by metrics.c.  Steps are counted on CLOCK_MONOTONIC, so that setting the clock tears no hole. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    HISTORY_STEP_MS = 10000,
    HISTORY_STEPS = 360,
    HISTORY_BYTES = 4096,
    HISTORY_VERSION = 1,
};

struct history_sample {
    double cpu_percent;    /* of one core, mean over the step; to 0.1 */
    uint64_t memory_bytes; /* numbers are kept to 1 in 2000 */
    uint64_t tree_bytes;
    uint64_t fds;
    uint64_t threads;
    unsigned processes; /* of the tree; 255 stands for more, too */
};

/* Zeroed it is empty, and of nobody. */
struct history {
    uint32_t version;
    uint32_t reserved;
    uint64_t owner;
    int64_t last; /* the newest step; 0: none */
    uint16_t cpu[HISTORY_STEPS];
    uint16_t memory[HISTORY_STEPS];
    uint16_t tree[HISTORY_STEPS];
    uint16_t fds[HISTORY_STEPS];
    uint16_t threads[HISTORY_STEPS];
    uint8_t processes[HISTORY_STEPS]; /* 0: there is no sample of that step */
};

_Static_assert(sizeof(struct history) <= HISTORY_BYTES, "an hour has its room");

/* Empties it unless it is `owner`'s, in this version. */
void history_claim(struct history *h, uint64_t owner);

/* Sets the sample of a step; one that is older than the hour before the newest is dropped. */
void history_set(struct history *h, int64_t step, const struct history_sample *sample);

/* False: there is no sample of that step, or not any more. */
bool history_get(const struct history *h, int64_t step, struct history_sample *ret_sample);
