#include "agent/inspector/result_file.h"

#include <errno.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/base/io.h"

void result_file_init(struct result_file *f, int fd, uint64_t limit)
{
    f->fd = fd;
    f->bytes = 0;
    f->limit = limit;
    f->buffered = 0;
    f->error = 0;
}

static int flush(struct result_file *f)
{
    if (f->error == 0 && f->buffered > 0)
        f->error = io_write_all(f->fd, f->buffer, f->buffered);
    f->buffered = 0;
    return f->error;
}

int result_file_add(struct result_file *f, const void *data, size_t len)
{
    const char *from = data;
    if (f->error == 0 && len > f->limit - f->bytes)
        f->error = ERR_TOO_BIG;
    while (f->error == 0 && len > 0) {
        size_t room = sizeof f->buffer - f->buffered;
        size_t piece = len < room ? len : room;
        memcpy(f->buffer + f->buffered, from, piece);
        f->buffered += piece;
        f->bytes += piece;
        from += piece;
        len -= piece;
        if (f->buffered == sizeof f->buffer)
            (void)flush(f);
    }
    return f->error;
}

int result_file_sync(struct result_file *f)
{
    if (flush(f) == 0 && fdatasync(f->fd) < 0)
        f->error = -errno;
    return f->error;
}

void result_file_drop(struct result_file *f)
{
    f->buffered = 0;
    f->bytes = 0;
    int r = ftruncate(f->fd, 0);
    (void)r; /* what cannot be truncated, a device for example, keeps nothing */
    (void)lseek(f->fd, 0, SEEK_SET);
}
