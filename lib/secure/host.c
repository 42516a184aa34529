#include "lib/secure/host.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

enum { NAME_MAX_LENGTH = 253, LABEL_MAX_LENGTH = 63 };

/* No isalnum(): what it says depends on the locale. */
static const char label_characters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

static bool label_is_sound(const char *label, size_t len)
{
    if (len == 0 || len > LABEL_MAX_LENGTH || label[0] == '-' || label[len - 1] == '-')
        return false;
    return strspn(label, label_characters) >= len;
}

static bool is_name(const char *text)
{
    const char *label = text;
    for (;;) {
        size_t len = strcspn(label, ".");
        if (!label_is_sound(label, len))
            return false;
        if (label[len] == '\0')
            return strspn(label, "0123456789") < len;
        label += len + 1;
    }
}

enum host_kind host_kind(const char *text)
{
    unsigned char address[sizeof(struct in6_addr)];
    if (strnlen(text, NAME_MAX_LENGTH + 1) > NAME_MAX_LENGTH)
        return HOST_NONE;
    if (inet_pton(AF_INET, text, address) == 1)
        return HOST_IPV4;
    if (inet_pton(AF_INET6, text, address) == 1)
        return HOST_IPV6;
    return is_name(text) ? HOST_NAME : HOST_NONE;
}

bool host_is_loopback(const char *text)
{
    if (strcasecmp(text, "localhost") == 0 || strcmp(text, "::1") == 0)
        return true;
    return strncmp(text, "127.", 4) == 0 && host_kind(text) == HOST_IPV4;
}
