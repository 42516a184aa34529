/* help.h -- help texts, made from the table of commands. */
#pragma once

#include <stdio.h>

struct cmd;

/* All commands, a line each. */
void help_all(FILE *out);

/* One command with its options. */
void help_command(const struct cmd *c, FILE *out);
