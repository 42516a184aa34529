/* log_tail.h -- the last lines of an app's output, for a console (`log.tail`).
 *
 * Read without waiting: at most LIMIT_LOG_TEXT from the end of a regular file, which are in memory as a rule.  A log holds any bytes;
 * the text is UTF-8: each byte that is none, and NUL, becomes U+FFFD. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct buf;
struct supervisor;

/* Appends the last `lines` lines of a log (of its newest archive too, when the file has fewer) to `out`, and never more than its limit: then the oldest are left out, and `*ret_cut` says
 * so.  A file that is not there has no lines.  -errno, or ERR_INVALID: it is no regular file. */
int log_tail_read(const char *path, unsigned lines, struct buf *out, bool *ret_cut);

/* The answer of `log.tail`: {"text", "at_ms", "cut"}, the caller's reference; NULL with an error (ERR_POLICY, ERR_NOT_FOUND, …) and
 * a sentence, which names no file of this host. */
json_t *log_tail_view(struct supervisor *sup, const json_t *params, int *ret_error,
                      char *reterr_text, size_t size);
