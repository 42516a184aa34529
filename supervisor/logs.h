/* logs.h -- the logs of all instances: which files, rotated when, packed and thrown away by whom (log_archives.h), and opened
 * anew for rotations from outside (SIGUSR2, `proctor reloadLogs`). */
#pragma once

#include <uv.h>

#include "supervisor/log_archives.h"
#include "supervisor/settings.h"

struct instance;
struct supervisor;

struct logs {
    struct supervisor *sup;
    struct log_archives archives;
    char *settings_path;
    unsigned ticks;
    uv_timer_t timer;
    uv_signal_t on_usr2;
};

/* Archives are first looked at from the loop, when all instances have been restored. */
void logs_start(struct logs *l, struct supervisor *sup);
void logs_stop(struct logs *l);
void logs_clear(struct logs *l);

/* Opens both streams of an instance, which has its slot, or adopts them; when they are open already only their limits are set
 * anew.  0 or a negative code. */
int logs_open(struct instance *in);

/* Opens anew what was moved away, and reads settings.json.  0, or the first error with a sentence. */
int logs_reopen(struct supervisor *sup, char reterr_text[SETTINGS_TEXT]);
