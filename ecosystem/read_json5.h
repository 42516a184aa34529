/* read_json5.h -- JSON as people write it by hand -> a tree of nodes with line numbers.
 *
 * Takes what strict JSON does not: comments, a comma after the last element, strings in single
 * quotes, keys without quotes, the escapes and the numbers of JavaScript (JSON5).  Nothing is
 * evaluated.  Knows nothing of apps, does no I/O. */
#pragma once

#include <stddef.h>

struct config_error;
struct node;

/* As read_json(). */
int read_json5(const char *text, size_t len, struct node *ret_node, struct config_error *reterr);
