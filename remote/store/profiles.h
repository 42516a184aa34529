/* profiles.h (store) -- results: how they come in, where they lie, what was computed from them.
 *
 * A result comes in pieces into incoming/<capture>.<first 16 digits of stored_sha256>.part, with a row that says how much of it
 * counts, is checked whole, and then becomes a blob: bytes in a segment, named by the SHA-256 of the result itself.  The same
 * result is there once, also when it was compressed in another way.  A blob of 4 MiB or more becomes a segment of its own by a
 * second name (link) for its part file, which loses its first one after the commit; a smaller one is appended to the open segment.
 *
 * Only the server's one writer takes results in (incoming_*, profiles_add); the rest may be done beside it too. */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/limits.h"
#include "lib/base/uuid.h"
#include "lib/wire/blob.h"

struct db;

/* ---- coming in (writes) ---------------------------------------------------------------------- */

/* The part file of this capture, made or found again: `*ret_offset` bytes of it are on disk (what an earlier transfer of the same
 * stored bytes has brought; one of other bytes is thrown away).  -ENOSPC when what is missing, together with what other results
 * that are coming in now still have to bring, would leave the disk less than 64 MiB; ERR_EXISTS: the result was stored before (also when it was removed since); ERR_TOO_BIG (past LIMIT_BLOB_STORED),
 * ERR_INVALID (no id of a capture, no bytes). */
int incoming_begin(struct db *db, const char *capture, uint64_t stored_bytes,
                   const uint8_t stored_sha256[static SHA256_BYTES], uint64_t *ret_offset);

/* Appends; `offset` must be where it ends (ERR_PROTOCOL), and not run past stored_bytes (ERR_TOO_BIG).  -ENOSPC when it would leave
 * the disk less than 16 MiB: rows need some, and so does making room.  Synced with the batch.  A batch that cannot be written or synced leaves the part file as long as it was.  ERR_NOT_FOUND: it was not begun, or dropped. */
int incoming_add(struct db *db, const char *capture, uint64_t offset, const void *data, size_t len);

/* Any thread, no transaction: is the whole part file there and does it hold what was announced?  0, ERR_MISMATCH (a sentence in
 * `reterr_text`), ERR_TOO_BIG (announced past LIMIT_RESULT or LIMIT_BLOB_STORED), ERR_INVALID (no id of a capture), ERR_STOPPING
 * (`*stop` was set; NULL: it never is), -errno.  It expands the result: some seconds for a big one, so not on a loop. */
int incoming_check(const char *dir, const char *capture, const struct blob_sums *announced,
                   const atomic_bool *stop, char *reterr_text, size_t size);

struct profile_row {
    char id[UUID_TEXT]; /* the capture's */
    char host[UUID_TEXT];
    char host_name[LIMIT_NAME + 1]; /* filled in when read */
    char app[LIMIT_NAME + 1];
    int64_t instance;
    char kind[33];
    int64_t created_ms; /* of the capture's beginning */
    int64_t stored_ms;
    bool keep;    /* retention leaves it */
    bool removed; /* by retention or by hand: the row stays, the bytes are gone */
    struct blob_sums sums;
    /* where the bytes are */
    int64_t segment;
    uint64_t offset;
};

/* Makes a checked part file a profile; from then on the capture's row says was_stored and has_profile.  1 when it was made before
 * (it may have been removed since): nothing happens then.  ERR_NOT_FOUND (no such part, capture or host), ERR_MISMATCH (the part is not whole, or not the one of `sums`). */
int profiles_add(struct db *db, const struct profile_row *row);

/* Throws a part file away; when there is none: 0. */
int incoming_drop(struct db *db, const char *capture);

/* ---- reading --------------------------------------------------------------------------------- */

struct profile_list {
    struct profile_row *rows;
    size_t count;
};
void profile_list_clear(struct profile_list *l);

struct profile_filter {
    const char *host; /* each: NULL or 0: any */
    const char *app;
    const char *kind;
    const char *before;
    size_t limit;
};
/* Newest first, those that were removed too. */
int profiles_list(struct db *db, const struct profile_filter *filter,
                  struct profile_list *ret_list);
int profiles_get(struct db *db, const char *id, struct profile_row *ret_row); /* ERR_NOT_FOUND */

/* The file that holds the bytes of row->id, opened for reading.  The row is read anew: they stand at row->offset,
 * row->sums.stored_bytes long, and can be read as long as the descriptor is open, whatever is removed or moved meanwhile.
 * ERR_NOT_FOUND when they were removed; -ENOENT or -EIO when the file is damaged. */
int profiles_open(struct db *db, struct profile_row *row, int *ret_fd);

/* ---- changing -------------------------------------------------------------------------------- */

/* ERR_NOT_FOUND.  Removing goes past `keep`; a second time it does nothing. */
int profiles_set_keep(struct db *db, const char *id, bool keep);
int profiles_remove(struct db *db, const char *id);

/* What an analysis made of a blob: text under a name ("top", "tree") and the analyser's version; removed with the blob, and
 * oldest first when all of them take more than an eighth of retention's limit.  ERR_NOT_FOUND: the blob is gone. */
int analyses_put(struct db *db, const uint8_t sha256_of_result[static SHA256_BYTES],
                 const char *name, int version, const char *text, size_t len);
/* ERR_NOT_FOUND; the caller frees the text. */
int analyses_get(struct db *db, const uint8_t sha256_of_result[static SHA256_BYTES],
                 const char *name, int version, char **ret_text, size_t *ret_len);

/* ---- retention ------------------------------------------------------------------------------- */

/* Each: 0 is no limit. */
struct retention {
    /* Of profiles without `keep`, since they were stored; of captures' rows twice as long. */
    int64_t keep_ms;
    uint64_t limit_bytes; /* of all segments */
    int64_t audit_ms;     /* the audit log's rows */
};
#define RETENTION_DEFAULT                                                                          \
    {                                                                                              \
        30LL * 24 * 3600 * 1000, 20ULL << 30, 400LL * 24 * 3600 * 1000                             \
    }

/* Removes what is too old and, oldest first, what is too much; gives the space back (a segment goes when nothing in it is wanted;
 * one that is mostly holes is written anew).  Thins and ends the history of processes (history.h, exits.h).  Also parts that nobody has added to for 7 days and whose capture is not open, and
 * sessions that are over.  Does one bounded piece of work: 1 when there may be more to do, 0 when there was nothing. */
int retention_step(struct db *db, const struct retention *limits, int64_t now_ms);

/* A result of so many stored bytes does not fit on the disk: does one bounded piece of work to make room for it.  Retention first,
 * as if the disk, without what is spared and what results that come in take, were the limit on all segments; when that does not
 * help, the youngest of several part files goes (its host brings it again), so that an older one can end.  1 when something was
 * removed: it may be called again, after the commit; 0 when there is room or nothing can be done. */
int retention_make_room(struct db *db, const char *capture, uint64_t stored_bytes,
                        const struct retention *limits, int64_t now_ms);
