/* target_args.h -- what the operands of a command mean, as names that the supervisor knows.
 *
 * In this order: a file of apps stands for its apps (app_file.h; "-" is one on standard input); /PATTERN/ for the apps whose name
 * it matches (a POSIX extended regular expression); a path that is the script of apps, and the name of none, for those.
 * Everything else goes to the supervisor as it is: an app's name, NAME-N, an id, "all". */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "lib/base/str.h"

struct args;
struct client;

/* Is it "/PATTERN/"?  Pure. */
bool target_is_pattern(const char *operand);

/* Adds the names that `operand` means among `apps` (of app.list with detail), each once.  0; ERR_NOT_FOUND or ERR_SYNTAX with a
 * sentence.  `cwd` is what paths begin at.  Pure. */
enum { TARGET_TEXT = 400 };
int target_resolve(const char *operand, const json_t *apps, const char *cwd, struct strlist *names,
                   char reterr_text[static TARGET_TEXT]);

/* Replaces what of `targets` is a pattern or a path; asks the supervisor only when there is one.  Returns an exit code, with the
 * sentence said. */
int target_expand(struct client *c, struct strlist *targets);

/* Connects to the supervisor that runs, and adds what the operands from `first` on mean.  The same. */
int target_args(struct client *c, const struct args *args, size_t first, struct strlist *targets);
