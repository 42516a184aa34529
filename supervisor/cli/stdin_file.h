/* stdin_file.h -- an ecosystem file that comes on standard input, or is made by a command, as a file that readers of files can read. */
#pragma once

/* Takes all of standard input; the name of a private file, or NULL with the sentence said. */
char *stdin_file(void);

/* The same of a text that is there already. */
char *stdin_file_of(const char *text);

/* Removes the file, and frees its name (NULL: nothing). */
void stdin_file_remove(char **path);
#define AUTOSTDIN __attribute__((cleanup(stdin_file_remove)))
