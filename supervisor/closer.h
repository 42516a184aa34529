/* closer.h -- a probe that captures nothing: it closes an inspector that nobody else will close. */
#pragma once

#include <sys/types.h>

struct supervisor;

/* Closes the inspector of `pid` on its port; frees itself.  A failure is only logged: whoever needs to know looks at the
 * port. */
void closer_start(struct supervisor *sup, pid_t pid, unsigned port, const char *path,
                  int node_major);
