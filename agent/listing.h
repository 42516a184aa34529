/* listing.h -- the answer to capture.list, read from the records' files in a thread: thousands of
 * them take a while on a disk that is busy.
 *
 *     listing_new(), listing_add() for each capture, the newest first
 *     listing_start()
 *     the files are read in a thread
 *     done; then it frees itself
 */
#pragma once

#include <jansson.h>
#include <uv.h>

struct listing;
struct spool;

/* `result` is the answer: {"captures", "left_out"}; borrowed, freed afterwards. */
typedef void (*listing_cb)(struct listing *l, json_t *result);

/* `s` is used until `done`; only its folder. */
struct listing *listing_new(const struct spool *s);

/* `record` (taken): as it is in memory, NULL: as its file says when it is read.  A file that has
 * gone by then is left out. */
void listing_add(struct listing *l, const char *id, json_t *record);

/* `done` is called once, from the loop. */
void listing_start(struct listing *l, uv_loop_t *loop, listing_cb done, void *arg);

void *listing_arg(const struct listing *l);
