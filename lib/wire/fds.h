/* fds.h -- descriptors that have come over a Unix socket and wait for the message that says that they are its own: the
 * receiving half of "fds" in docs/PROTOCOL.md, the same for conn.h and client.h.
 *
 * The kernel delivers a descriptor no later than with the first byte of its message, so that they only have to be kept
 * in order.  A struct fds that is zeroed is empty. */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct msg;

/* Those of some messages in one read. */
enum { FDS_MAX = 16 };

struct fds {
    int items[FDS_MAX];
    unsigned count;
};

/* recvmsg() on a socket: bytes into `space`, descriptors (close-on-exec) to those that wait.  Returns the bytes, 0 at
 * the end of the stream, -errno, or ERR_TOO_BIG when more descriptors came than may wait: what fits is kept, the rest
 * closed, and the connection cannot go on. */
ssize_t fds_receive(struct fds *f, int socket, void *space, size_t room);

/* The same without taking the bytes out of the stream: descriptors that come are duplicates of those that stay in it. */
ssize_t fds_peek(struct fds *f, int socket, void *space, size_t room);

/* Gives a message the descriptors that it wants.  ERR_PROTOCOL when not so many have come. */
int fds_hand_over(struct fds *f, struct msg *m);

/* Closes those that wait. */
void fds_clear(struct fds *f);
