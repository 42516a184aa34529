/* exit_codes.h -- exits of a process as a person writes them: exit codes and names of signals. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct strlist;

enum { EXIT_CODE_TEXT = 16 };

/* "0", "143", "SIGTERM", "term" and so on in their usual form: the number without leading zeros, or
 * the name with SIG.  False when it is neither a code from 0 to 255 nor a signal. */
bool exit_code_normal(const char *text, char space[static EXIT_CODE_TEXT]);

/* Does the list (of usual forms) name this exit?  `signal`: the signal that ended the process, or 0;
 * then `code` means nothing, so that 0 in the list is never a crash. */
bool exit_codes_match(const struct strlist *codes, int code, int signal);

/* "SIGTERM", "term", "15" → 15; 0 when there is no such signal. */
int signal_from_text(const char *text);

/* "SIGTERM"; a number for one without a name.  Returns `space`. */
const char *signal_name(int signal, char space[static EXIT_CODE_TEXT]);
