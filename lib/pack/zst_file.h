/* zst_file.h -- whole files packed and unpacked, for archives of logs.
 *
 * A packed file is a row of zstd frames of ZST_FRAME bytes of text each, so that the end of a log can be read without the rest,
 * and a skippable frame of 16 bytes that says where the last of them begins.  Any zstd reads it.  Works from one
 * descriptor's present position to another's; blocking: not for a loop, but for zst_file_tail(). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct buf;

enum { ZST_FRAME = 1 << 20 };

/* `*stop` (may be NULL) becoming true ends it with ERR_CANCELLED.  0, -errno, ERR_FAILED. */
int zst_file_pack(int from, int to, const volatile bool *stop);

/* At most `limit` bytes.  0, -errno, ERR_SYNTAX, ERR_TOO_BIG. */
int zst_file_unpack(int from, int to, uint64_t limit);

/* Appends the text of the last frame, at most ZST_FRAME bytes; `*ret_whole`: the file has no more.  Errors as above and the
 * buffer's; ERR_SYNTAX for a file that we have not written. */
int zst_file_tail(int from, struct buf *out, bool *ret_whole);
