/* series.h -- CPU and memory of one process over a stretch of time, as so many points as somebody can look at.  Pure.
 *
 * A point is a piece of the stretch: the average of the CPU in it, and the most memory.  What nothing is known of is a gap. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "remote/store/minute.h"

struct series_point {
    int64_t samples; /* 0: a gap */
    int64_t cpu;     /* their sum, in tenths of a percent */
    int64_t memory;  /* the most, in bytes */
};

struct series {
    int64_t from_ms; /* begin of the first point */
    int64_t step_ms;
    size_t count;
    struct series_point *points;
    int64_t last_ms; /* of the values of minutes: the one that was added last; 0: none */
    struct minute_value last;
};

/* Points from `from_ms` to `to_ms` (which is later), at most `most` of them, each a multiple of 5 s long and beginning at a multiple
 * of its length, so that points stay where they are while time passes. */
void series_init(struct series *s, int64_t from_ms, int64_t to_ms, size_t most);
void series_clear(struct series *s);

/* In the order of time.  One value that is missing between two is no gap: agents tell every five seconds, not on their second. */
void series_add_minute(struct series *s, const struct minute *m);

/* What is known of a longer time: that many samples from `at_ms` on, for `len_ms`, with their average and their most. */
void series_add_span(struct series *s, int64_t at_ms, int64_t len_ms, int64_t samples,
                     uint32_t cpu_average, int64_t memory_most);
