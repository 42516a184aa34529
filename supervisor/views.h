/* views.h -- instances as JSON, for `app.list`. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct instance;

/* The caller's reference.  `detail`: with settings, log files and environment, whose values are "***" unless
 * `show_env`. */
json_t *view_instance(struct instance *in, bool detail, bool show_env);
