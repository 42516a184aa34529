/* read_json.h -- JSON text of a configuration file -> a tree of nodes with line numbers.
 *
 * Knows nothing of apps, does no I/O.  Refuses what makes a file ambiguous: a key given twice in
 * one object, a NUL character in a key. */
#pragma once

#include <stddef.h>

struct config_error;
struct node;

/* Fills the empty `ret_node` of the caller.  On failure (ERR_SYNTAX, ERR_INVALID, ERR_TOO_BIG)
 * `reterr` has line and sentence, and the node stays empty. */
int read_json(const char *text, size_t len, struct node *ret_node, struct config_error *reterr);
