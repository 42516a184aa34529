/* token_file.h -- reads a secret token out of a file or standard input. */
#pragma once

#include <stddef.h>

/* The longest file that is read; tokens have at most 512 characters. */
enum { TOKEN_FILE_BYTES = 4096 };

/* What is done when others can read the file: a warning for a token that is used up at once, a refusal for one that stays
 * valid. */
enum token_file_rule { TOKEN_FILE_WARN, TOKEN_FILE_REFUSE };

/* Reads the token in `path` ("-": standard input) without the white space around it.  Returns CMD_DONE, or an exit code (cmd.h)
 * with the sentence said, which never repeats what was read.  Pipes have no owner to look at.  The caller wipes the text. */
int token_file_read(const char *path, enum token_file_rule rule,
                    char ret_token[static TOKEN_FILE_BYTES + 1]);
