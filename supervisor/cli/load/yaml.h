/* yaml.h -- YAML text -> a tree of nodes with line numbers.
 *
 * Scalars without quotes are null, booleans and numbers as JSON has them, and otherwise text: yes,
 * 0x10 and 1_000 are words.  Aliases are copied, "<<" merges.  Both are bounded, so that a small
 * file does not become a large one.  No I/O. */
#pragma once

#include <stddef.h>

struct config_error;
struct node;

/* Fills the empty `ret_root`.  Returns 0, ERR_SYNTAX or ERR_TOO_BIG; then `reterr` has line, column
 * and sentence. */
int yaml_read(const char *text, size_t len, struct node *ret_root, struct config_error *reterr);
