/* std_fds.h -- descriptors 0 to 2 of a program that was started without some of them. */
#pragma once

/* Each of the three that is closed becomes one that cannot be used in its direction, so that reading and writing fail with
 * EBADF as before, and no file or socket that is opened later takes the number and gets our texts.  Call it first in
 * main(). */
void std_fds_occupy(void);
