/* logs.h -- the logs of all instances: which files, rotated when, packed and thrown away by whom (log_archives.h). */
#pragma once

#include <stddef.h>

struct instance;
struct supervisor;

/* Opens both streams of an instance, which has its slot, or adopts them; when they are open already only their limits are set
 * anew.  0 or a negative code. */
int logs_open(struct instance *in);
