/* env_file.h -- files of environment variables, in the format of node --env-file.
 *
 *     # a comment
 *     NAME=value            blanks around are cut, a # ends it
 *     export NAME="a\nb"    a line feed for \n in double quotes only
 *     NAME='…' or `…`       as it stands, over several lines
 *
 * Nothing is expanded.  A line without '=' means nothing, as in Node. */
#pragma once

#include <stddef.h>

struct config_error;
struct strlist;

/* Sets the variables of the text in `env`, the last of a name counts.  Returns 0 or ERR_INVALID: a
 * NUL character, text that is not UTF-8, more or longer variables than the kernel takes; `reterr`
 * has line and sentence. */
int env_file_parse(const char *text, size_t len, struct strlist *env, struct config_error *reterr);
