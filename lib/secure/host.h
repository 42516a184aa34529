/* host.h -- is a text the name or the address of a host?  Of tokens, certificates and checks;
 * nothing is looked up. */
#pragma once

#include <stdbool.h>

enum host_kind { HOST_NONE, HOST_NAME, HOST_IPV4, HOST_IPV6 };

/* HOST_NONE for anything that is not one: empty labels, other characters than letters, digits,
 * '-' and '_', brackets, a zone ("%eth0"), a name that ends in a number without being an
 * address. */
enum host_kind host_kind(const char *text);

/* This machine itself, as far as the text tells: "localhost", 127.0.0.0/8, "::1" (without brackets).  It is never reached through
 * a proxy. */
bool host_is_loopback(const char *text);
