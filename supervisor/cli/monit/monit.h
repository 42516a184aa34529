/* monit.h -- the screen of `proctor monit`: what is shown, and what keys do.  No curses in here. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "supervisor/cli/monit/feed.h"
#include "supervisor/cli/monit/job.h"
#include "supervisor/cli/monit/log_pane.h"

/* Keys, as the screen hands them in; others are characters. */
enum monit_key {
    MONIT_UP = 0x1000,
    MONIT_DOWN,
    MONIT_PAGE_UP,
    MONIT_PAGE_DOWN,
    MONIT_HOME,
    MONIT_END,
    MONIT_ESCAPE,
};

struct monit {
    struct feed feed;
    struct log_pane log;
    struct job job;
    char *chosen;        /* its label; NULL: there is no process */
    size_t at;           /* its row */
    size_t top;          /* the first row that is shown */
    size_t list_height;  /* as drawn last */
    char *confirm;       /* label of what is to be stopped when the next key is y */
    char note[JOB_TEXT]; /* what is said instead of the job's text */
    bool quit;
};

void monit_init(struct monit *m, const char *log_dir);
void monit_clear(struct monit *m);

/* Asks the supervisor anew; the chosen process stays chosen while it is there. */
void monit_refresh(struct monit *m, feed_stop_cb stop);

void monit_key(struct monit *m, int key);

/* The row that is chosen; NULL: there is none. */
const struct feed_row *monit_row(const struct monit *m);
