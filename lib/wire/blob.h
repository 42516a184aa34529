/* blob.h -- results as they are kept in the spool and travel over the channel: one zstd frame,
 * with the sums that both ends hold it against; and the header of the binary frames that carry
 * its pieces (docs/PROTOCOL.md, "Channel"). */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/secure/hash.h"

struct blob_sums {
    uint64_t bytes;                      /* of the original */
    uint64_t stored_bytes;               /* of the zstd frame */
    uint8_t sha256[SHA256_BYTES];        /* of the original: the blob's name */
    uint8_t stored_sha256[SHA256_BYTES]; /* of the frame */
};

/* Compresses all of `in_fd` (from its start) into `out_fd` (at its position).  Nothing is
 * synced.  Blocks: for threads and child programs.  0, -errno, ERR_FAILED. */
int blob_compress(int in_fd, int out_fd, struct blob_sums *ret_sums);

/* Expands `len` bytes of `in_fd` from `offset` on into `out_fd` (-1: only checks); they must be
 * exactly one frame, of at most `limit` bytes when expanded.  Also ERR_SYNTAX, ERR_TOO_BIG. */
int blob_expand(int in_fd, uint64_t offset, uint64_t len, int out_fd, uint64_t limit,
                struct blob_sums *ret_sums);

/* Checks `len` bytes of `in_fd` from its start on as blob_expand() does; ERR_STOPPING as soon as another thread has set `*stop`
 * (NULL: it never is). */
int blob_check(int in_fd, uint64_t len, uint64_t limit, const atomic_bool *stop,
               struct blob_sums *ret_sums);

/* ---- chunks ---------------------------------------------------------------------------------- */

enum {
    BLOB_HEADER = 12,      /* blob number (4 bytes), offset (8 bytes), big-endian; then the bytes */
    BLOB_CHUNK = 64 << 10, /* bytes of a chunk without its header, at most */
    BLOB_WINDOW = 1 << 20, /* bytes that may be under way: sent and not acknowledged */
};

struct blob_chunk {
    uint32_t blob;
    uint64_t offset;
    const uint8_t *data; /* borrowed from the frame */
    size_t len;          /* 1 to BLOB_CHUNK */
};

void blob_header_put(uint8_t ret_header[static BLOB_HEADER], uint32_t blob, uint64_t offset);

/* A whole binary frame.  0, or ERR_PROTOCOL (too short, empty, too long, offset past 2^62). */
int blob_chunk_parse(const void *frame, size_t len, struct blob_chunk *ret_chunk);
