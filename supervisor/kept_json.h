/* kept_json.h -- records in the keeper's store that are JSON, and what a stored pidfd says. */
#pragma once

#include <jansson.h>
#include <sys/types.h>

struct keep_link;

/* Stores the record under the name, instead of the one before.  A failure is logged: then we go on, and what happened since is
 * lost with us. */
void kept_json_put(struct keep_link *k, const json_t *record, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* NULL when there is none, or it cannot be read.  The caller's. */
json_t *kept_json_get(struct keep_link *k, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The process behind a pidfd; -1 when it has been reaped. */
pid_t kept_pid(int pidfd);
