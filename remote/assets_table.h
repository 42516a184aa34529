/* assets_table.h -- what tests/tools/web.sh makes of the page's files: all bytes in one piece
 * (assets_bytes.S), and where each file stands in it.  Only assets.c includes this. */
#pragma once

#include <stddef.h>

struct asset {
    const char *path;   /* "/pages/fleet.js" */
    const char *type;   /* for Content-Type */
    const char *sha256; /* of its bytes, in hex */
    size_t begin;       /* into assets_bytes */
    size_t bytes;       /* as they are; then, gzipped: */
    size_t gzip_bytes;  /* 0: gzip makes it no smaller */
};

extern const struct asset assets_table[]; /* sorted by path */
extern const size_t assets_count;
extern const char assets_bytes[];
