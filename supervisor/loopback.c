#include "supervisor/loopback.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/str.h"

enum { HOST_BYTES = 48, LOOPBACK_NET = 127 };

/* Takes "HOST:PORT" or "[HOST]:PORT" apart. */
static int split(const char *text, char host[HOST_BYTES], int64_t *ret_port)
{
    const char *colon = strrchr(text, ':');
    if (!colon || str_to_int(colon + 1, 1, UINT16_MAX, ret_port) < 0)
        return ERR_SYNTAX;
    bool bracketed = text[0] == '[';
    const char *from = text + bracketed, *to = colon - bracketed;
    if (to <= from || to - from >= HOST_BYTES || (bracketed && *to != ']'))
        return ERR_SYNTAX;
    (void)snprintf(host, HOST_BYTES, "%.*s", (int)(to - from), from);
    return bracketed ? AF_INET6 : AF_INET;
}

int loopback_parse(const char *text, struct sockaddr_storage *ret_address)
{
    char host[HOST_BYTES];
    int64_t port;
    struct sockaddr_storage address = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&address;
    int family = split(text, host, &port);
    if (family < 0)
        return family;
    bool v6_asked = family == AF_INET6;
    const char *number = str_eq(host, "localhost") && !v6_asked ? "127.0.0.1" : host;
    if (inet_pton(family, number, v6_asked ? (void *)&v6->sin6_addr : &v4->sin_addr) != 1)
        return ERR_SYNTAX;
    address.ss_family = (sa_family_t)family;
    if (v6_asked)
        v6->sin6_port = htons((uint16_t)port);
    else
        v4->sin_port = htons((uint16_t)port);
    bool ours = v6_asked ? IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr)
                         : ntohl(v4->sin_addr.s_addr) >> 24 == LOOPBACK_NET;
    if (!ours)
        return ERR_INVALID;
    *ret_address = address;
    return 0;
}

socklen_t loopback_size(const struct sockaddr_storage *address)
{
    return address->ss_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in);
}

bool loopback_is(int fd, const struct sockaddr_storage *address)
{
    struct sockaddr_storage own = {0};
    socklen_t len = sizeof own;
    if (getsockname(fd, (struct sockaddr *)&own, &len) < 0)
        return false;
    return own.ss_family == address->ss_family &&
           memcmp(&own, address, loopback_size(address)) == 0;
}
