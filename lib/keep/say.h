/* say.h -- the time, and a line on stderr in the form of lib/base/log.h; nothing is allocated. */
#pragma once

#include <stdint.h>
#include <time.h>

int64_t keep_clock_ms(clockid_t clock);

/* A log that is full and not read must not stop us: then the line is lost. */
void keep_say(const char *level, const char *format, ...) __attribute__((format(printf, 2, 3)));
