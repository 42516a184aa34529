/* app_file.h -- ecosystem files and scripts on the command line, made into checked specs for
 * app.apply. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct args;
struct strlist;

/* Does this operand name an ecosystem file, or is it "-", one in JSON on standard input?  One that ends in .json must exist, so that an app can
 * be called like that. */
bool app_file_is(const char *operand);

/* Reads a file and appends its resolved apps to the array `apps`.  `env_name` chooses "env_<name>"
 * (NULL: none).  Says warnings and errors; returns an exit code. */
int app_file_load(const char *path, const char *env_name, json_t *apps);

/* The names of a file's apps, for stop and delete: it need not be startable any more. */
int app_file_names(const char *path, struct strlist *names);

/* One script with the options of `start`; `script_args` are the operands after "--". */
int app_file_script(const char *script, const struct args *args, json_t *apps);

/* Is one of the options given that describe a script (--name, -i, …)?  Its name, or NULL. */
const char *app_file_script_option(const struct args *args);
