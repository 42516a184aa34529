/* env_filter.h -- which inherited variables an app does not get ("filter_env").
 *
 * A filter is a list of patterns: "*" is every variable, "*TEXT*" one whose name contains TEXT,
 * "NAME" that one.  Files say true, ["TEXT"] and "NAME". */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct strlist;

/* Appends the pattern for a text of a list. */
void env_filter_add_part(struct strlist *filter, const char *text);

/* Does the filter leave out the variable of this name? */
bool env_filter_drops(const struct strlist *filter, const char *name);

/* Removes all such variables from `env`. */
void env_filter_apply(const struct strlist *filter, struct strlist *env);

/* As a file says it. */
json_t *env_filter_to_json(const struct strlist *filter);
