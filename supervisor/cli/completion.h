/* completion.h -- what a shell needs to complete our command lines, made from the table of commands. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/* "bash", "zsh", "fish"; false for another shell. */
bool completion_print(const char *shell, FILE *out);
