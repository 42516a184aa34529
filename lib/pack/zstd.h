/* zstd.h -- streams of zstd, in and out, with bounded memory and a limit on what comes out.
 *
 * For the spool, the channel and the console's segments.  Nothing here does I/O.  The window of
 * what we write is 1 MiB at most, and what needs more than 8 MiB to be read is refused, so that
 * foreign bytes cannot take memory. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ZSTD_LEVEL_DEFAULT = 3 };

/* What one step did: how much of the input was used, how much output was made. */
struct pack_step {
    size_t used;
    size_t made;
};

/* ---- compressing ----------------------------------------------------------------------------- */

struct zstd_writer;

/* `level`: 1 to 19; another number means the default. */
struct zstd_writer *zstd_writer_new(int level);
void zstd_writer_free(struct zstd_writer *w);

/* Takes from `in` and puts into `out`; `end` says that nothing comes after `in`.  To be called
 * until all of `in` is used and, with `end`, until it returns 1: the frame is complete.  Returns
 * 0 or 1, or ERR_FAILED (also when it is called again after 1). */
int zstd_writer_step(struct zstd_writer *w, const void *in, size_t in_len, bool end, void *out,
                     size_t out_size, struct pack_step *ret_step);

/* ---- decompressing --------------------------------------------------------------------------- */

struct zstd_reader;

/* `limit`: bytes that may come out in all. */
struct zstd_reader *zstd_reader_new(uint64_t limit);
void zstd_reader_free(struct zstd_reader *r);

/* Returns 0 (go on), 1 (exactly one frame was read whole; what follows it in `in` is not used),
 * ERR_SYNTAX (no zstd, or damaged), ERR_TOO_BIG (past the limit, or a window larger than ours),
 * -ENOMEM.  A step may make output without using input: call again while it fills `out` or
 * leaves input.  After 1 or an error it always returns the same. */
int zstd_reader_step(struct zstd_reader *r, const void *in, size_t in_len, void *out,
                     size_t out_size, struct pack_step *ret_step);
