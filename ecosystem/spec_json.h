/* spec_json.h -- app specs in control messages and in state.json.
 *
 * The keys are those of the options table, times are numbers of milliseconds.  Only resolved specs
 * are sent; whoever receives one checks it again. */
#pragma once

#include <jansson.h>
#include <stddef.h>

struct app_spec;

/* A new object (the caller's reference).  `env_named` and `line` are not in it. */
json_t *app_spec_to_json(const struct app_spec *spec);

/* Fills `ret_spec`, empty storage of the caller.  Strict: types, ranges and sizes by the table;
 * name, script, cwd and interpreter must be there; script and cwd must be absolute, the interpreter
 * too or "none".  Keys that are missing get their defaults, unknown ones are ignored.  Returns 0 or
 * ERR_INVALID with one sentence in `reterr_text`. */
int app_spec_from_json(const json_t *j, struct app_spec *ret_spec, char *reterr_text,
                       size_t reterr_size);
