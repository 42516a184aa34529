/* Who is meant by Host, and whose page asks: pure checks of foreign text. */
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/secure/host.h"
#include "remote/http_listen.h"
#include "remote/http_private.h"

enum { HTTPS_PORT = 443 };

static int parse_name(struct http_host *h)
{
    for (char *c = h->name; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    switch (host_kind(h->name)) {
    case HOST_NAME:
        h->kind = HTTP_HOST_NAME;
        return 0;
    case HOST_IPV4:
        h->kind = HTTP_HOST_IPV4;
        return inet_pton(AF_INET, h->name, h->bytes) == 1 ? 0 : ERR_SYNTAX;
    case HOST_IPV6: /* brackets are missing */
    case HOST_NONE:
        break;
    }
    return ERR_SYNTAX;
}

static int copy_name(struct http_host *h, const char *text, size_t len)
{
    if (len == 0 || len >= sizeof h->name)
        return ERR_SYNTAX;
    memcpy(h->name, text, len);
    h->name[len] = '\0';
    return 0;
}

static int parse_port(const char *text, unsigned *ret_port)
{
    int64_t port;
    if (!isdigit((unsigned char)text[0]) || str_to_int(text, 1, 65535, &port) < 0)
        return ERR_SYNTAX;
    *ret_port = (unsigned)port;
    return 0;
}

static int parse_bracketed(const char *text, struct http_host *h, const char **ret_rest)
{
    const char *end = strchr(text, ']');
    if (!end || copy_name(h, text + 1, (size_t)(end - text) - 1) < 0 ||
        inet_pton(AF_INET6, h->name, h->bytes) != 1)
        return ERR_SYNTAX;
    h->kind = HTTP_HOST_IPV6;
    *ret_rest = end + 1;
    return 0;
}

int http_host_parse(const char *text, struct http_host *ret_host)
{
    struct http_host h = {0};
    const char *rest = text + strcspn(text, ":");
    int r;
    if (text[0] == '[')
        r = parse_bracketed(text, &h, &rest);
    else {
        r = copy_name(&h, text, (size_t)(rest - text));
        if (r >= 0)
            r = parse_name(&h);
    }
    if (r >= 0 && *rest != '\0')
        r = *rest == ':' ? parse_port(rest + 1, &h.port) : ERR_SYNTAX;
    if (r < 0)
        return r;
    *ret_host = h;
    return 0;
}

static bool same_host(const struct http_host *a, const struct http_host *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case HTTP_HOST_NAME:
        return strcmp(a->name, b->name) == 0;
    case HTTP_HOST_IPV4:
        return memcmp(a->bytes, b->bytes, 4) == 0;
    case HTTP_HOST_IPV6:
        return memcmp(a->bytes, b->bytes, 16) == 0;
    }
    return false;
}

/* A name or address as somebody configured it; brackets and port may be missing. */
static bool is_named(const struct http_host *host, const char *name)
{
    struct http_host h = {.kind = HTTP_HOST_IPV6};
    if (inet_pton(AF_INET6, name, h.bytes) != 1 && http_host_parse(name, &h) < 0)
        return false;
    return same_host(host, &h);
}

/* Listening at all addresses: any address may be ours. No page of somebody else can have an
 * address as its name (what DNS rebinding does needs a name), so that this opens nothing. */
static bool is_any(const struct http_host *listening)
{
    static const uint8_t zeros[16];
    return listening->kind != HTTP_HOST_NAME && memcmp(listening->bytes, zeros, sizeof zeros) == 0;
}

static bool is_loopback(const struct http_host *host)
{
    static const uint8_t six[16] = {[15] = 1};
    switch (host->kind) {
    case HTTP_HOST_NAME:
        return strcmp(host->name, "localhost") == 0;
    case HTTP_HOST_IPV4:
        return host->bytes[0] == 127;
    case HTTP_HOST_IPV6:
        return memcmp(host->bytes, six, sizeof six) == 0;
    }
    return false;
}

bool http_host_allowed(const char *host, const char *address, const char *const *names)
{
    struct http_host h, listening;
    if (!host || http_host_parse(host, &h) < 0)
        return false;
    if (is_loopback(&h))
        return true;
    /* "127.0.0.1:0" is an address too, but port 0 is none. */
    char without_port[HTTP_LISTEN_TEXT];
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : strlen(address);
    if (len < sizeof without_port) {
        memcpy(without_port, address, len);
        without_port[len] = '\0';
        if (http_host_parse(without_port, &listening) >= 0 &&
            (same_host(&h, &listening) || (h.kind != HTTP_HOST_NAME && is_any(&listening))))
            return true;
    }
    for (size_t i = 0; names && names[i]; i++)
        if (is_named(&h, names[i]))
            return true;
    return false;
}

bool http_origin_allowed(const char *origin, const char *host)
{
    static const char scheme[] = "https://";
    struct http_host from, to;
    if (!origin)
        return true;
    if (!host || strncasecmp(origin, scheme, strlen(scheme)) != 0)
        return false;
    if (http_host_parse(origin + strlen(scheme), &from) < 0 || http_host_parse(host, &to) < 0)
        return false;
    return same_host(&from, &to) &&
           (from.port ? from.port : HTTPS_PORT) == (to.port ? to.port : HTTPS_PORT);
}

int http_length_parse(const char *text, uint64_t *ret_length)
{
    uint64_t length = 0;
    if (!*text)
        return ERR_SYNTAX;
    for (; *text; text++) {
        if (*text < '0' || *text > '9')
            return ERR_SYNTAX;
        length = length * 10 + (uint64_t)(*text - '0');
        if (length > 1ull << 53)
            return ERR_TOO_BIG;
    }
    *ret_length = length;
    return 0;
}
