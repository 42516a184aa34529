/* text.h -- text for people: how wide it is on a terminal, and numbers, sizes and times in few
 * characters.  Pure. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Columns that UTF-8 text takes: 0 for combining marks, 2 for East Asian wide characters and emoji.
 * A byte that is not UTF-8 counts as one. */
unsigned text_width(const char *s);

/* How many bytes of `s` fit into `columns`, ending at a character's boundary. */
size_t text_fit(const char *s, unsigned columns);

/* Makes text from outside harmless on a terminal, in place: control characters (but newline and
 * tab) and bytes that are not UTF-8 become '?'. */
void text_make_safe(char *s);

enum { TEXT_SHORT = 40 };

/* Each writes into `out` and returns it. */
const char *text_age(int64_t ms, char out[static TEXT_SHORT]);     /* 59s, 12m, 5h, 31d */
const char *text_seconds(int64_t ms, char out[static TEXT_SHORT]); /* 0.4 s, 12.0 s, 3 min 20 s */
const char *text_bytes(int64_t bytes,
                       char out[static TEXT_SHORT]); /* 512B, 48.8M, 1.2G (1024-based) */
const char *text_percent(double percent, char out[static TEXT_SHORT]); /* 0.3%, 12%, 140% */
const char *text_micros(int64_t us, char out[static TEXT_SHORT]);      /* 850 us, 12.4 ms, 1.2 s */

/* UTC, for programs: "2025-11-20T05:16:01.250Z". */
const char *text_utc(int64_t epoch_ms, char out[static TEXT_SHORT]);

/* Local wall clock: "2025-11-20 05:16:01"; with `millis` "2025-11-20T05:16:01.250". */
const char *text_clock(int64_t epoch_ms, int millis, char out[static TEXT_SHORT]);
