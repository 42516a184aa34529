/* processes.h -- lists of processes as agents tell them (PROCESS in docs/PROTOCOL.md), into the
 * text that the console keeps.
 *
 * Foreign bytes: each process is looked at field by field, and only the fields of the protocol
 * get in, within their limits.  The text is JSON of ours and small, because it is kept for every
 * process of every host.  No I/O. */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct buf;

/* Appends a JSON array with a line's end after each process and nowhere else.  Returns the number of processes, ERR_INVALID or ERR_TOO_BIG with a
 * sentence that names the first that does not fit; then a part may have been added. */
int processes_take(const json_t *list, struct buf *out, char *reterr_text, size_t size);

/* How an instance can be captured, by the text that processes_take() made: 0, ERR_NOT_FOUND (no
 * such app or instance), or ERR_UNSUPPORTED with the host's own sentence. */
int processes_check(const char *text, const char *app, int64_t instance, const char *kind,
                    char *reterr_text, size_t size);
