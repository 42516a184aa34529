/* option_set.h -- checks a value and stores it in the field that a row of the options table names.
 *
 * Numbers may be written as strings ("4"); booleans may not ("false" is refused with a hint).  A
 * list may be one string, which is split (words.h).  On failure the field is unchanged and the
 * error has line, key and sentence; the caller adds file and app. */
#pragma once

#include "ecosystem/options.h"

struct app_spec;
struct config_error;
struct node;
struct strlist;

/* The field of `o` in `spec`. */
void *option_field(const struct option *o, struct app_spec *spec);
const void *option_field_const(const struct option *o, const struct app_spec *spec);

/* Returns 0 or ERR_INVALID. */
int option_set(const struct option *o, struct app_spec *spec, const struct node *value,
               struct config_error *reterr);

/* An environment block: replaces `env` by the object's members.  Strings, numbers and booleans
 * become strings as written, lists and objects their JSON text; null is refused.  `key` is for
 * messages ("env_production"). */
int option_read_env(const char *key, const struct node *value, struct strlist *env,
                    struct config_error *reterr);

/* Sets an option from text, as app_spec_set(). */
int option_set_text(const struct option *o, struct app_spec *spec, const char *text,
                    struct config_error *reterr);

/* Sets one option from text, as the command line does: app_spec_set(spec, "instances", "4",
 * &error).  "true" and "false" are booleans; a list is split at blanks; "env" takes one NAME=value
 * and adds or replaces that variable. Returns 0 or ERR_INVALID, also for a key that is not in the
 * table. */
int app_spec_set(struct app_spec *spec, const char *key, const char *text,
                 struct config_error *reterr);
