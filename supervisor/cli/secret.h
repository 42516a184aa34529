/* secret.h -- hides values that look like secrets before they are shown.  Pure. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* Looks `value` of the variable `name` like a secret: by the name (it contains KEY, TOKEN, PASS,
 * …), or because it is a URL with credentials? */
bool secret_looks(const char *name, const char *value);

/* Replaces secret values in an environment object by "***", in place. */
void secret_mask_env(json_t *env);

/* The same in "env" and "spec.env" of each app of an app.list answer. */
void secret_mask_apps(json_t *apps);
