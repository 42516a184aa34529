/* stdin_file.h -- an ecosystem file that comes on standard input, as a file that readers of files can read. */
#pragma once

/* Takes all of standard input; the name of a private file, or NULL with the sentence said. */
char *stdin_file(void);

/* Removes the file, and frees its name (NULL: nothing). */
void stdin_file_remove(char **path);
#define AUTOSTDIN __attribute__((cleanup(stdin_file_remove)))
