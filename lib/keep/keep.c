#include "lib/keep/keep.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum { FDS_MAX = 4, SKIP_MAX = 4096 };

union control {
    struct cmsghdr head;
    char room[CMSG_SPACE(sizeof(int) * FDS_MAX)];
};

int keep_name_valid(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-";
    size_t len = strspn(name, allowed);
    return len > 0 && len < KEEP_NAME && name[len] == '\0';
}

int keep_send(int sock, const struct keep_msg *msg, int fd)
{
    struct iovec iov = {.iov_base = (void *)(uintptr_t)msg, .iov_len = sizeof *msg};
    struct msghdr head = {.msg_iov = &iov, .msg_iovlen = 1};
    union control control = {.room = {0}};
    if (fd >= 0) {
        head.msg_control = &control;
        head.msg_controllen = CMSG_SPACE(sizeof fd);
        control.head.cmsg_level = SOL_SOCKET;
        control.head.cmsg_type = SCM_RIGHTS;
        control.head.cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(&control.head), &fd, sizeof fd);
    }
    for (;;) {
        ssize_t sent = sendmsg(sock, &head, MSG_NOSIGNAL);
        if (sent >= 0)
            return sent == (ssize_t)sizeof *msg ? 0 : -EPROTO;
        if (errno != EINTR)
            return -errno;
    }
}

/* ---- receiving -------------------------------------------------------------------------------- */

/* All descriptors that came; the first `FDS_MAX`, since there is no room for more. */
static unsigned take_fds(struct msghdr *head, int fds[FDS_MAX])
{
    unsigned count = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(head); c; c = CMSG_NXTHDR(head, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t bytes = c->cmsg_len - CMSG_LEN(0);
        for (size_t i = 0; i + sizeof(int) <= bytes && count < FDS_MAX; i += sizeof(int))
            memcpy(&fds[count++], CMSG_DATA(c) + i, sizeof(int));
    }
    return count;
}

/* An empty packet reads like an end; only at an end the other side has hung up. */
static int nothing_read(int sock)
{
    struct pollfd p = {.fd = sock, .events = POLLIN | POLLRDHUP};
    return poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLRDHUP | POLLERR)) ? 0 : -EPROTO;
}

static int whole(const struct keep_msg *msg, ssize_t bytes, int flags)
{
    return bytes == (ssize_t)sizeof *msg && !(flags & MSG_TRUNC) && msg->version == KEEP_VERSION &&
           memchr(msg->name, '\0', sizeof msg->name);
}

int keep_receive(int sock, struct keep_msg *ret_msg, int *ret_fd)
{
    struct keep_msg msg;
    struct iovec iov = {.iov_base = &msg, .iov_len = sizeof msg};
    union control control;
    struct msghdr head = {.msg_iov = &iov,
                          .msg_iovlen = 1,
                          .msg_control = &control,
                          .msg_controllen = sizeof control.room};
    int fds[FDS_MAX];
    ssize_t bytes;
    /* A reset (the other end died with messages unread) is told once, before what that one had sent. */
    do {
        bytes = recvmsg(sock, &head, MSG_CMSG_CLOEXEC);
    } while (bytes < 0 && (errno == EINTR || errno == ECONNRESET));
    if (bytes < 0)
        return -errno;
    unsigned count = take_fds(&head, fds);
    if (count > 1 || !whole(&msg, bytes, head.msg_flags)) {
        for (unsigned i = 0; i < count; i++)
            (void)close(fds[i]);
        return bytes == 0 && count == 0 ? nothing_read(sock) : -EPROTO;
    }
    *ret_msg = msg;
    *ret_fd = count == 1 ? fds[0] : -1;
    return 1;
}

/* ---- the manifest ----------------------------------------------------------------------------- */

static int write_all(int fd, const void *bytes, size_t len)
{
    const char *at = bytes;
    while (len > 0) {
        ssize_t written = write(fd, at, len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return written < 0 ? -errno : -EIO;
        at += written;
        len -= (size_t)written;
    }
    return 0;
}

static int read_all(int fd, void *bytes, size_t len)
{
    char *at = bytes;
    while (len > 0) {
        ssize_t got = read(fd, at, len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EPROTO;
        at += got;
        len -= (size_t)got;
    }
    return 0;
}

/* One record that may be longer than ours: what a newer version has put behind it is skipped. */
static int read_record(int fd, void *record, size_t size, size_t record_bytes)
{
    char rest[SKIP_MAX];
    int r = read_all(fd, record, size);
    if (r < 0 || record_bytes == size)
        return r;
    return read_all(fd, rest, record_bytes - size);
}

int keep_manifest_write(int fd, const struct keep_manifest_head *head,
                        const struct keep_record *records, const struct keep_msg *exits)
{
    struct keep_manifest_head h = *head;
    h.magic = KEEP_MANIFEST_MAGIC;
    h.version = KEEP_VERSION;
    h.record_bytes = sizeof *records;
    h.exit_bytes = sizeof *exits;
    int r = write_all(fd, &h, sizeof h);
    if (r == 0)
        r = write_all(fd, records, h.records * sizeof *records);
    return r < 0 ? r : write_all(fd, exits, h.exits * sizeof *exits);
}

static int head_valid(const struct keep_manifest_head *h, size_t record_max, size_t exit_max)
{
    return h->magic == KEEP_MANIFEST_MAGIC && h->version == KEEP_VERSION &&
           h->record_bytes >= sizeof(struct keep_record) &&
           h->exit_bytes >= sizeof(struct keep_msg) && h->record_bytes <= SKIP_MAX &&
           h->exit_bytes <= SKIP_MAX && h->records <= record_max && h->exits <= exit_max;
}

int keep_manifest_read(int fd, struct keep_manifest_head *ret_head, struct keep_record *records,
                       size_t record_max, struct keep_msg *exits, size_t exit_max)
{
    struct keep_manifest_head head;
    int r = read_all(fd, &head, sizeof head);
    if (r < 0)
        return r;
    if (!head_valid(&head, record_max, exit_max))
        return -EPROTO;
    for (uint32_t i = 0; i < head.records; i++) {
        struct keep_record *record = &records[i];
        r = read_record(fd, record, sizeof *record, head.record_bytes);
        if (r < 0)
            return r;
        if (record->fd < 0 || !memchr(record->name, '\0', KEEP_NAME) ||
            !keep_name_valid(record->name))
            return -EPROTO;
    }
    for (uint32_t i = 0; i < head.exits; i++) {
        r = read_record(fd, &exits[i], sizeof *exits, head.exit_bytes);
        if (r < 0)
            return r;
        if (exits[i].type != KEEP_EXIT || !memchr(exits[i].name, '\0', KEEP_NAME))
            return -EPROTO;
    }
    *ret_head = head;
    return 0;
}
