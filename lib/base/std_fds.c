#include "lib/base/std_fds.h"

#include <fcntl.h>
#include <unistd.h>

void std_fds_occupy(void)
{
    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
        /* open() takes the lowest number that is free, which is this one.  Programs that we become inherit it. */
        if (fcntl(fd, F_GETFD) < 0)
            (void)open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY);
}
