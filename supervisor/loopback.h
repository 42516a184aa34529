/* loopback.h -- addresses on which only this host can reach us. */
#pragma once

#include <stdbool.h>
#include <sys/socket.h>

/* "127.0.0.1:9209", "localhost:9209" or "[::1]:9209" as an address; all of 127/8 is loopback.  0, ERR_SYNTAX, or ERR_INVALID
 * for an address that others can reach. */
int loopback_parse(const char *text, struct sockaddr_storage *ret_address);

/* What connect() and bind() want to know of it. */
socklen_t loopback_size(const struct sockaddr_storage *address);

/* Does the socket have this address? */
bool loopback_is(int fd, const struct sockaddr_storage *address);
