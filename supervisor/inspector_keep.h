/* inspector_keep.h -- what the next supervisor must know of an instance's inspector. */
#pragma once

#include <stdbool.h>

struct inspector;

/* Notes it in the keeper's store; drops the note when there is nothing to know. */
void inspector_keep(const struct inspector *i);

/* Reads the note of an earlier supervisor; false: there is none, and nothing has changed.  `*ret_same`: the instance still runs
 * the process that it is about. */
bool inspector_read_kept(struct inspector *i, bool *ret_same);
