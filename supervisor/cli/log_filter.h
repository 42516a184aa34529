/* log_filter.h -- which lines of logs are wanted, and the last of them. */
#pragma once

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/cli/log_set.h"

struct log_filter {
    int64_t since_ms; /* of lines whose time is known; 0: all */
    bool has_pattern;
    regex_t pattern;
};

enum { LOG_FILTER_TEXT = 160 };

/* A POSIX extended regular expression that a line must have.  ERR_SYNTAX with what is wrong with it. */
int log_filter_pattern(struct log_filter *f, const char *text, bool ignore_case,
                       char reterr_text[static LOG_FILTER_TEXT]);
void log_filter_clear(struct log_filter *f);
bool log_filter_wants(const struct log_filter *f, const struct log_line *line);

/* The last lines of those that were added. */
struct log_last {
    struct log_last_item {
        const struct log_source *source; /* borrowed; its own line is another one by now */
        char *text;
        size_t len;
        int64_t time_ms;
    } * items;
    size_t room, count, next;
};

/* `lines` 0: none. */
void log_last_add(struct log_last *l, size_t lines, const struct log_source *source);
/* In the order added; the text is borrowed. */
typedef void (*log_last_cb)(void *arg, const struct log_source *source,
                            const struct log_line *line);
void log_last_each(const struct log_last *l, log_last_cb each, void *arg);
void log_last_clear(struct log_last *l);
