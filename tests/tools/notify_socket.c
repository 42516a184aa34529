/* notify_socket -- plays systemd's end of sd_notify for tests: binds a datagram socket and prints every message as a line, its
 * newlines as blanks, with the sender's pid before it.  Usage: notify_socket PATH|@NAME.  Ends when its input does. */
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int listen_at(const char *address)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int yes = 1, fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    size_t len = strlen(address);
    if (fd < 0 || len >= sizeof at.sun_path)
        return -1;
    memcpy(at.sun_path, address, len);
    if (address[0] == '@')
        at.sun_path[0] = '\0';
    (void)setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    return bind(fd, (const struct sockaddr *)&at, size) < 0 ? -1 : fd;
}

static void print_one(int fd)
{
    char text[4096];
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec part = {.iov_base = text, .iov_len = sizeof text - 1};
    struct msghdr m = {.msg_iov = &part,
                       .msg_iovlen = 1,
                       .msg_control = &control,
                       .msg_controllen = sizeof control};
    ssize_t n = recvmsg(fd, &m, 0);
    struct ucred sender = {0};
    if (n <= 0)
        return;
    text[n] = '\0';
    for (char *c = text; *c; c++)
        if (*c == '\n')
            *c = ' ';
    const struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    if (c && c->cmsg_type == SCM_CREDENTIALS)
        memcpy(&sender, CMSG_DATA(c), sizeof sender);
    (void)printf("%d %s\n", (int)sender.pid, text);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    int fd = argc == 2 ? listen_at(argv[1]) : -1;
    if (fd < 0)
        return 1;
    (void)puts("bound");
    (void)fflush(stdout);
    for (;;) {
        char byte;
        struct pollfd polls[] = {{.fd = fd, .events = POLLIN}, {.fd = 0, .events = POLLIN}};
        if (poll(polls, 2, -1) < 0)
            return 1;
        if (polls[0].revents)
            print_one(fd);
        if (polls[1].revents && read(0, &byte, 1) <= 0)
            return 0;
    }
}
