/* views.h -- what is told of instances and of the supervisor, as JSON: for `app.list`, for a console (`host.list`), for `ping`. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct instance;
struct supervisor;

/* The caller's reference.  `detail`: with settings, log files and environment, whose values are "***" unless
 * `show_env`. */
json_t *view_instance(struct instance *in, bool detail, bool show_env);

/* How its processes ended, the newest first, and why it is not online (proctor why). */
json_t *view_why(struct instance *in);

/* The answer of `host.list`: what a console may know of all instances.  Neither environment nor arguments nor paths, and
 * cheap, since it is asked for once a second.  The caller's reference. */
json_t *view_host(struct supervisor *sup);

/* The answer of `ping`.  The caller's reference. */
json_t *view_supervisor(struct supervisor *sup);
