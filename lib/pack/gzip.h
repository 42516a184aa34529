/* gzip.h -- streams of gzip: for downloads and assets whose format it is.  Nothing here does
 * I/O.  The same contract as zstd.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/pack/zstd.h"

struct gzip_writer;
struct gzip_writer *gzip_writer_new(int level); /* 1 to 9; another number: zlib's default */
void gzip_writer_free(struct gzip_writer *w);
int gzip_writer_step(struct gzip_writer *w, const void *in, size_t in_len, bool end, void *out,
                     size_t out_size, struct pack_step *ret_step);

struct gzip_reader;
struct gzip_reader *gzip_reader_new(uint64_t limit);
void gzip_reader_free(struct gzip_reader *r);
int gzip_reader_step(struct gzip_reader *r, const void *in, size_t in_len, void *out,
                     size_t out_size, struct pack_step *ret_step);
