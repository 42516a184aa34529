/* log.h -- log lines for developers and operators, on standard error.
 *
 *     PROCTOR_LOG=info,inspector=debug,wire=trace
 *
 * A module is the folder or the file name (without .c) a line comes from.  Each line has time, program, pid, level,
 * module and text.  Libraries log only at debug and trace; a program logs an error once, where it gives up.
 * Never log an inspector's UUID, an environment value or a secret. */
#pragma once

#include <stdarg.h>
#include <stdbool.h>

enum log_level {
    LOG_LEVEL_ERROR,
    LOG_LEVEL_WARN,
    LOG_LEVEL_INFO,
    LOG_LEVEL_DEBUG,
    LOG_LEVEL_TRACE
};

/* Sets the program name (borrowed for ever) and the levels from $PROCTOR_LOG; the default level is `fallback`. */
void log_init(const char *program, enum log_level fallback);

bool log_enabled(enum log_level level, const char *file);

/* `r`: an error code whose text is appended after ": ", or 0.  Control characters in the text become '?', so that foreign
 * words in it cannot forge a line; a text of more than 8000 bytes is cut and ends with an ellipsis. */
void log_write(enum log_level level, const char *file, int r, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#define LOG_AT(level, r, ...)                                                                      \
    do {                                                                                           \
        if (log_enabled((level), __FILE__))                                                        \
            log_write((level), __FILE__, (r), __VA_ARGS__);                                        \
    } while (0)

#define log_err(r, ...) LOG_AT(LOG_LEVEL_ERROR, (r), __VA_ARGS__)
#define log_warn(r, ...) LOG_AT(LOG_LEVEL_WARN, (r), __VA_ARGS__)
#define log_info(...) LOG_AT(LOG_LEVEL_INFO, 0, __VA_ARGS__)
#define log_debug(...) LOG_AT(LOG_LEVEL_DEBUG, 0, __VA_ARGS__)
#define log_trace(...) LOG_AT(LOG_LEVEL_TRACE, 0, __VA_ARGS__)
