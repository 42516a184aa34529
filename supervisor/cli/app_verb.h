/* app_verb.h -- what stop, restart, reload and delete have in common: targets, which may be files
 * of apps. */
#pragma once

#include <stdbool.h>

struct args;

/* Runs `verb` on the operands.  A file stands for its apps; with `applies` it is read and applied
 * again, otherwise only the names in it count.  Returns the exit code. */
int app_verb(const char *verb, const struct args *args, bool applies);
