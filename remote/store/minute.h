/* minute.h -- CPU and memory of one process over one minute, and the few bytes that they are on disk.  Pure.
 *
 * Agents tell every 5 s, a bit more or less: a minute has twelve places for values, those that nothing was heard for stay empty.
 * Packed it is two bytes that say which places are taken, then for each the CPU and how the memory differs from the one before, as
 * numbers of seven bits per byte: about 40 bytes. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum {
    MINUTE_MS = 60000,
    MINUTE_PLACES = 12,
    MINUTE_PLACE_MS = MINUTE_MS / MINUTE_PLACES,
    MINUTE_PAGE = 4096, /* bytes: the unit of memory */
    MINUTE_PACKED = 2 + MINUTE_PLACES * 10
};

struct minute_value {
    uint32_t cpu;   /* tenths of a percent of one core */
    uint32_t pages; /* of MINUTE_PAGE bytes, resident */
};

struct minute {
    int64_t number; /* minutes since the epoch */
    unsigned have;  /* a bit for each place that is taken */
    struct minute_value values[MINUTE_PLACES];
};

/* Which minute is this? */
int64_t minute_of(int64_t at_ms);

/* The last one of a place counts.  `at_ms` must be in the minute. */
void minute_set(struct minute *m, int64_t at_ms, double cpu_percent, int64_t memory_bytes);

/* Takes from `other` what is not in `m`. */
void minute_merge(struct minute *m, const struct minute *other);

/* Returns the length. */
size_t minute_pack(const struct minute *m, uint8_t ret_bytes[static MINUTE_PACKED]);

/* ERR_INVALID: these bytes are no minute. */
int minute_unpack(int64_t number, const void *bytes, size_t len, struct minute *ret_minute);
