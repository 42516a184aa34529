#include "lib/wire/fds.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/wire/msg.h"

static int keep(struct fds *f, int fd)
{
    if (f->count == FDS_MAX) {
        (void)close(fd);
        return ERR_TOO_BIG;
    }
    f->items[f->count++] = fd;
    return 0;
}

static int keep_all(struct fds *f, struct msghdr *mh)
{
    int r = mh->msg_flags & MSG_CTRUNC ? ERR_TOO_BIG : 0;
    for (struct cmsghdr *cm = CMSG_FIRSTHDR(mh); cm; cm = CMSG_NXTHDR(mh, cm)) {
        if (cm->cmsg_level != SOL_SOCKET || cm->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (cm->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(cm) + i * sizeof fd, sizeof fd);
            if (keep(f, fd) < 0)
                r = ERR_TOO_BIG;
        }
    }
    return r;
}

static ssize_t receive(struct fds *f, int socket, void *space, size_t room, int flags)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FDS_MAX * sizeof(int))];
    } control;
    struct iovec iov = {.iov_base = space, .iov_len = room};
    struct msghdr mh = {.msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = &control,
                        .msg_controllen = sizeof control};
    ssize_t n = recvmsg(socket, &mh, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | flags);
    if (n < 0)
        return -errno;
    int r = keep_all(f, &mh);
    return n > 0 && r < 0 ? r : n;
}

ssize_t fds_receive(struct fds *f, int socket, void *space, size_t room)
{
    return receive(f, socket, space, room, 0);
}

ssize_t fds_peek(struct fds *f, int socket, void *space, size_t room)
{
    return receive(f, socket, space, room, MSG_PEEK);
}

int fds_hand_over(struct fds *f, struct msg *m)
{
    if (m->fds_wanted > f->count)
        return ERR_PROTOCOL;
    m->fd_count = m->fds_wanted;
    memcpy(m->fds, f->items, m->fd_count * sizeof m->fds[0]);
    f->count -= m->fd_count;
    memmove(f->items, f->items + m->fd_count, f->count * sizeof f->items[0]);
    return 0;
}

void fds_clear(struct fds *f)
{
    while (f->count > 0)
        (void)close(f->items[--f->count]);
}
