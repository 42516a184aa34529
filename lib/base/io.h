/* io.h -- system calls as one wants them to be. */
#pragma once

#include <stddef.h>

/* Writes everything, over interruptions and short writes.  Returns 0 or -errno. */
int io_write_all(int fd, const void *data, size_t len);
