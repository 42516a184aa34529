#include "agent/address.h"

#include <ctype.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/secure/host.h"

static int read_port(const char *text, unsigned *ret_port)
{
    int64_t port;
    if (!isdigit((unsigned char)text[0]) || str_to_int(text, 1, 65535, &port) < 0)
        return ERR_SYNTAX;
    *ret_port = (unsigned)port;
    return 0;
}

int address_parse(const char *text, struct address *ret_address)
{
    struct address a = {.port = 0};
    const char *colon = strrchr(text, ':');
    if (!colon || strlen(text) >= ADDRESS_TEXT || read_port(colon + 1, &a.port) < 0)
        return ERR_SYNTAX;
    size_t len = (size_t)(colon - text);
    bool bracketed = len > 2 && text[0] == '[' && text[len - 1] == ']';
    memcpy(a.host, text + bracketed, len - 2 * (size_t)bracketed);
    enum host_kind kind = host_kind(a.host);
    a.ipv6 = kind == HOST_IPV6;
    a.numeric = a.ipv6 || kind == HOST_IPV4;
    if (kind == HOST_NONE || a.ipv6 != bracketed)
        return ERR_SYNTAX;
    *ret_address = a;
    return 0;
}
