/* words.h -- text of people: splitting a line into words, and whether it may travel in JSON. */
#pragma once

#include <stdbool.h>

struct strlist;

/* Splits at blanks and appends the words.  '…' and "…" keep blanks together; a backslash before a
 * quote, a blank or a backslash takes its meaning (not between single quotes), and stands for
 * itself elsewhere.  Nothing is expanded. Returns 0, or ERR_SYNTAX when a quote is not closed; then
 * nothing is appended. */
int words_split(const char *text, struct strlist *words);

/* Control messages are UTF-8; a path or argument that is not cannot be passed on unharmed. */
bool text_is_utf8(const char *text);
