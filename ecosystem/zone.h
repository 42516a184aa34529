/* zone.h -- time zones: what the clocks on the wall show, from the files of tzdata (TZif, RFC 8536).
 *
 * Apart from the C library's, whose zone is one for the whole process.  A table once it is loaded;
 * offsets are seconds east of UTC, times are seconds since 1970. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zone;

/* "Europe/Berlin", "UTC"; NULL: that of the host (TZ, else /etc/localtime, else UTC).  Returns 0,
 * ERR_NOT_FOUND when there is no such zone, or ERR_INVALID for a file that is none. */
int zone_load(const char *name, struct zone **ret_zone);

/* The same from the bytes of a file; no I/O. */
int zone_parse(const char *data, size_t len, struct zone **ret_zone);

void zone_free(struct zone *z);

static inline void auto_zone_(struct zone **z)
{
    zone_free(*z);
}
#define AUTOZONE __attribute__((cleanup(auto_zone_)))

/* From `*ret_until` on another offset may be in force (INT64_MAX: never). */
int zone_offset(const struct zone *z, int64_t time_s, int64_t *ret_until);

/* ---- the calendar ---------------------------------------------------------------------------- */

struct civil {
    int64_t year;
    int month;   /* 1..12 */
    int day;     /* 1..31 */
    int weekday; /* 0: Sunday */
    int hour, minute, second;
};

/* Seconds on the wall since 1970 and back. */
int64_t civil_seconds(int64_t year, int month, int day);
void civil_from_seconds(int64_t seconds, struct civil *ret_civil);
int civil_month_days(int64_t year, int month);
