/* send_signal.h -- signals that somebody sends to processes through us (`proctor signal`). */
#pragma once

#include <stdbool.h>

struct instance;

/* To its process alone, not to what it has started.  Noted first, so that an end by it is known as such (exits.h).  -ESRCH: it
 * has no process; -EPERM (unless `force`): the signal would open the inspector of a Node process to all users of this machine. */
int send_signal(struct instance *in, int sig, bool force);
