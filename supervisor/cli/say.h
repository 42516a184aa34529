/* say.h -- what the command line says: errors and notes on standard error, colours only on
 * terminals, and the end of standard output. */
#pragma once

#include <stdbool.h>
#include <stdio.h>

/* "proctor: …" on standard error.  Control characters in the text become '?', except newlines. */
void say_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* The same without "proctor: ". */
void say_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Wrong use of the command `name` that its option table cannot express: the sentence, a pointer to the help; returns
 * CMD_USAGE (cmd.h). */
int say_usage(const char *name, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* What went wrong in a call: the answer's sentence when there is one, else the code's text. */
struct msg;
const char *say_reason(int r, const struct msg *answer);

/* The exit code (cmd.h) for a failure. */
int say_exit_code(int r);

enum color {
    COLOR_NONE,
    COLOR_GREEN,
    COLOR_RED,
    COLOR_YELLOW,
    COLOR_CYAN,
    COLOR_BLUE,
    COLOR_MAGENTA,
    COLOR_DIM,
    COLOR_BOLD
};

/* Is `out` a terminal on which colours are wanted (NO_COLOR, TERM=dumb)? */
bool say_colors(FILE *out);

/* Escape sequences; "" for COLOR_NONE. */
const char *say_color(enum color c);
#define COLOR_RESET "\x1b[0m"

/* Columns of the terminal behind `out`; 0 when it is none. */
unsigned say_width(FILE *out);

/* True when what was written to standard output can no longer arrive. */
bool say_broken(void);

/* Flushes standard output at the end.  Returns `code`, or CMD_FAILED when the output could not be
 * written; a reader that went away (EPIPE) is no failure. */
int say_finish(int code);
