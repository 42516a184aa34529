/* heapprofile.h -- V8's sampled allocations (.heapprofile, Node 8 to 26): a tree of nested objects
 * {callFrame, selfSize, id, children} under "head".  The list "samples" of newer versions says
 * nothing that the tree does not, and is skipped.  Keys may come in any order. */
#pragma once

#include <stddef.h>

struct profile;
struct profile_error;

/* As profile_read(). */
int heapprofile_read(struct profile *p, const char *text, size_t len, struct profile_error *reterr);
