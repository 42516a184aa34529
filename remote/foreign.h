/* foreign.h -- single values out of messages that agents sent: do they fit, and are they fit to
 * be shown? */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A string of `min` to `max` bytes without a NUL in it; else NULL.  Borrowed. */
const char *foreign_text(const json_t *value, size_t min, size_t max);

/* An integer from `min` to `max`. */
bool foreign_int(const json_t *value, int64_t min, int64_t max, int64_t *ret_value);

/* Is this word in the list? */
bool foreign_has(const json_t *list, const char *word);

/* Copies a text of any length into `size` bytes, cut between characters; control characters,
 * which could speak to somebody's terminal, become '?'. */
void foreign_copy(char *out, size_t size, const char *text);
