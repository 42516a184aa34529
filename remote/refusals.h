/* refusals.h -- which refusals are worth a row of the audit log: whoever knocks at the door all night
 * must not fill it.  Pure: the clock is the caller's (monotonic milliseconds). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct refusals;

/* Rows of one minute, all addresses together: what is more is not noted. */
enum { REFUSALS_MAX = 200, REFUSALS_EACH_MS = 60 * 1000 };

struct refusals *refusals_new(void);
void refusals_free(struct refusals *r);

/* Is it the first of this address (one of login_limit_address_key()) and reason for a minute?  Then it
 * is remembered. */
bool refusals_first(struct refusals *r, const char *address, const char *what, int64_t now_ms);
