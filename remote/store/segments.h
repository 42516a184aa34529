/* segments.h -- files that results lie in.  A big result is a segment of its own; small ones are appended to the one that is
 * open.  What is removed leaves a hole, until the segment has nothing else, or so many holes that it is written anew. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct db;

/* From this size on a result gets a segment of its own. */
#define SEGMENT_OWN_BYTES (4u << 20)

/* A shared one that is so long is closed: few enough files, and little to copy when it is written anew. */
#define SEGMENT_BYTES (64u << 20)

struct place {
    int64_t segment;
    uint64_t offset;
};

/* The bytes [offset, offset + len) of the file `fd` at the end of the open segment. */
int segments_append(struct db *db, int fd, uint64_t offset, uint64_t len, struct place *ret_place);

/* A whole part file as a segment. */
int segments_adopt(struct db *db, const char *part, uint64_t len, struct place *ret_place);

/* `len` bytes of it are not wanted any more; with the last of them it goes. */
int segments_release(struct db *db, int64_t segment, uint64_t len);

/* Moves what is wanted out of the segment that has most holes, a bounded piece of it; `tight`: also when they are few.  1 when
 * it did something, 0 when there is none. */
int segments_rewrite(struct db *db, bool tight);

/* Bytes of all files, and those of them that are wanted.  Holes that cannot be given back (a damaged segment) do not count. */
int segments_sum(struct db *db, uint64_t *ret_bytes, uint64_t *ret_live);
