/* app_request.h -- requests that change apps: sends one, tells how each instance gets on, and what
 * became of it. */
#pragma once

#include <jansson.h>

#include "lib/base/str.h"

struct client;

/* `method` is "app.apply", "app.start", …; `params` is taken.  Prints a line per instance that has
 * got somewhere, the sentence for each that did not, and in the end the table of the apps concerned
 * (not after a delete).  Returns the exit code.
 *
 * `ret_unchanged` (NULL: of no interest) gets "NAME-N" of the instances that an app.apply left
 * running as they were; when there are any, the table is left to the request that follows. */
int app_request(struct client *c, const char *method, json_t *params,
                struct strlist *ret_unchanged);

/* Parameters with "targets". */
json_t *app_request_targets(const struct strlist *targets);

/* The caller's environment, borrowed: not to be changed or cleared. */
struct strlist app_request_env(void);

/* Adds "env", the whole environment of the caller. */
void app_request_add_env(json_t *params);
