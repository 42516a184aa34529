/* profile_source.h -- a stored result, expanded piece by piece for a download. */
#pragma once

#include "remote/http.h"

struct profile_row;

/* Takes `fd`, where profiles_open() found the row's bytes.  A result that turns out to be damaged ends in an error before its last
 * byte, so that no client takes it for whole. */
struct http_source *profile_source_new(const struct profile_row *row, int fd);
