/* state_file.h -- the desired state on disk ($PROCTOR_HOME/state.json, 0600): which apps, with which settings and
 * environment, and which of their instances shall run.  Written after every change, never by hand. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <uv.h>

struct supervisor;

struct state_file {
    struct supervisor *sup;
    char *path;
    uv_work_t work;
    char *text; /* what the worker writes */
    size_t len;
    int result;      /* of the write that runs */
    int last_result; /* of the last one that ended; that of the worker is not looked at meanwhile */
    bool writing;
    bool dirty; /* changed again meanwhile */
};

void state_file_init(struct state_file *s, struct supervisor *sup, const char *path);
void state_file_clear(struct state_file *s);

/* Declares all apps of the file; those that shall run are not started yet.  0 also when there is no file.  A file that cannot
 * be used is set aside as state.json.broken with a log line, and its error returned. */
int state_file_load(struct state_file *s);

/* Writes soon, off the loop. */
void state_file_changed(struct state_file *s);

/* Writes now (shutdown). */
void state_file_flush(struct state_file *s);
bool state_file_busy(const struct state_file *s);

/* Adds "warnings" to the answer of a command, with one sentence, when the last write has failed. */
void state_file_warn(const struct state_file *s, json_t *answer);
