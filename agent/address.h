/* address.h -- "host:port" as consoles and tokens write it: a name, an IPv4 address, or an IPv6 address in brackets. */
#pragma once

#include <stdbool.h>

enum { ADDRESS_TEXT = 280 };

struct address {
    char host[ADDRESS_TEXT]; /* without brackets */
    unsigned port;
    bool numeric; /* an IP address: nothing has to be looked up */
    bool ipv6;
};

/* 0 or ERR_SYNTAX. */
int address_parse(const char *text, struct address *ret_address);
