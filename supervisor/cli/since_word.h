/* since_word.h -- a moment in the past as people write it. */
#pragma once

#include <stdint.h>

/* "90" (seconds), "500ms", "10m", "1.5h", "2d" ago; "14:30", "14:30:05" (the last time it was that); "2026-11-20",
 * "2026-11-20 14:30", "2026-11-20T14:30:05" in local time, with "Z" at the end in UTC.  0 and ms since the epoch; ERR_SYNTAX.
 * `now_ms`: the wall clock.  Pure but for the time zone. */
int since_word(const char *text, int64_t now_ms, int64_t *ret_ms);
