/* app_request.h -- requests that change apps: sends one, tells how each instance gets on, and what
 * became of it. */
#pragma once

#include <jansson.h>

#include "lib/base/str.h"

struct client;

/* What came of requests; several may add to one. */
struct app_outcome {
    struct strlist names; /* of the apps concerned, each once; none of a delete */
    struct strlist
        unchanged; /* "NAME-N" of the instances that an app.apply left running as they were */
};

void app_outcome_clear(struct app_outcome *o);
#define AUTOOUTCOME __attribute__((cleanup(app_outcome_clear)))

/* `method` is "app.apply", "app.start", …; `params` is taken.  Prints a line per instance that has
 * got somewhere, and the sentence for each that did not.  Returns the exit code.  These two begin
 * anew with another supervisor, once, when the one that is there is shutting down. */
int app_request(struct client *c, const char *method, json_t *params, struct app_outcome *outcome);

/* Prints the table of these apps, or nothing when there are none. */
void app_request_table(struct client *c, const struct strlist *names);

/* Parameters with "targets". */
json_t *app_request_targets(const struct strlist *targets);

/* The caller's environment, borrowed: not to be changed or cleared. */
struct strlist app_request_env(void);

/* Adds "env", the whole environment of the caller. */
void app_request_add_env(json_t *params);
