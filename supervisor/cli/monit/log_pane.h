/* log_pane.h -- the last lines of the chosen process's logs, read from their files as they come. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "supervisor/cli/log_set.h"

enum { LOG_PANE_LINES = 512 };

struct log_pane {
    char *dir;
    char *label; /* whose; NULL: nobody's */
    struct log_set set;
    struct log_pane_line {
        char *text; /* harmless on a terminal */
        bool is_err;
    } lines[LOG_PANE_LINES]; /* a ring */
    size_t first, count;
    bool more; /* there was more than one look takes */
};

void log_pane_init(struct log_pane *p, const char *dir);
void log_pane_clear(struct log_pane *p);

/* Shows another process's logs. */
void log_pane_choose(struct log_pane *p, const char *label);

/* Reads what has come; true when there is something new. */
bool log_pane_read(struct log_pane *p);

/* The line that is `back` before the last one; NULL: there is none. */
const struct log_pane_line *log_pane_line(const struct log_pane *p, size_t back);

/* Takes escape sequences out, blanks for tabs, '?' for other control characters.  In place.  Pure. */
void log_pane_make_plain(char *text);
