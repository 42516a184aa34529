/* state_file.h -- the desired state: which apps, with which settings and environment, and which of their instances shall run.
 *
 * It is kept twice.  The keeper has a record "state" (keep_link.h) that is always present: what a command declares is in it
 * before anything is done, with the operations that are under way and their last answers (operations.h); a supervisor that
 * follows one that died goes by it.  $PROCTOR_HOME/state.json (0600) follows a moment later, for a reboot; never written by
 * hand.  The file before it stays as state.json.previous, and is read when state.json is torn, damaged, missing, or of a
 * newer version. */
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
    bool dirty;  /* changed again meanwhile */
    bool ending; /* the supervisor before was told to end, and did not live to do it */
    /* A sentence: what could not be read at the start; NULL, or until a command was answered with it. */
    char *fallback;
};

void state_file_init(struct state_file *s, struct supervisor *sup, const char *path);
void state_file_clear(struct state_file *s);

/* Declares all apps and the operations that were under way; nothing is started, nothing done.  0 also when there is nothing
 * yet.  A file that cannot be used is set aside as state.json.broken, with a log line and a warning in the next answers; its
 * error is returned when there is no older one either.  ERR_UNSUPPORTED, and nothing done, when an upgrade has brought us and
 * the record is of a newer version. */
int state_file_load(struct state_file *s);

/* What is declared now goes to the keeper at once: before it is acted on. */
void state_file_store(struct state_file *s);

/* The record and the file, soon; the file off the loop. */
void state_file_changed(struct state_file *s);

/* Writes now (shutdown). */
void state_file_flush(struct state_file *s);
bool state_file_busy(const struct state_file *s);

/* Adds "warnings" to the answer of a command, sentences for people: when the last write has failed, when an older file had to
 * be used. */
void state_file_warn(const struct state_file *s, json_t *answer);
/* Somebody who has changed something was told of the older file. */
void state_file_warned(struct state_file *s);
