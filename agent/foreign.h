/* foreign.h -- sentences of the console, made fit for our logs and people's terminals. */
#pragma once

#include <stddef.h>

/* Copies `text` (NULL: nothing) as it is but for control characters, which become '?', cut at whole characters to fit. */
void foreign_copy(char *ret_text, size_t size, const char *text);
