/* spool.h -- the agent's folder of records and results, $PROCTOR_HOME/spool (0700, files 0600).
 *
 *   <id>.json             the record; durable before the supervisor is asked, when the capture has
 *                         ended and after that, without fsync (but whole) at the phases in between
 *   <id>.part             the result while it is being written
 *   <id>.cpuprofile       the result (.heapprofile for heap), until it is packed
 *   <id>.cpuprofile.zst   the result, packed: one zstd frame, whose sums are in the record
 *   <id>.json.broken      a record that could not be read
 *   <id>.….tmp            on its way to one of these
 *
 * The order of the steps is such that a crash between any two of them is mended by the next
 * spool_scan().  In memory there is only an index; records are read when they are asked for.  What
 * a capture's life is, is capture.h's business; how results are packed, packing.h's. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "agent/record.h"

struct spool_entry {
    char id[UUID_TEXT];
    enum record_kind kind;
    bool ended;
    bool from_console;
    bool delivered;
    unsigned
        host; /* whom the console that asked for it takes us for: an index of spool.hosts + 1; 0: not known */
    bool packed; /* the result is; what is not is there as it came */
    bool held;   /* a thread writes the record: nobody else does, and it is not removed */
    bool stuck;  /* the result could not be packed, and is not tried again for now */
    int64_t created_ms;
    int64_t ended_ms;
    int64_t result_bytes; /* on the disk; RECORD_UNKNOWN: there is no result */
};

struct spool {
    char *dir;
    int lock_fd;                 /* the folder, locked: one agent at a time writes here */
    struct spool_entry *entries; /* in the order of their creation */
    size_t count;
    size_t capacity;
    struct strlist hosts; /* who we are or were for the consoles of these records */
    unsigned host; /* who we are for the present console, as in spool_entry; 0: there is none */
    struct strlist unread; /* ids of records that could not be read, for a reason that may pass */
    int64_t clock_ms;      /* the wall clock less the steady one, and since when that is so */
    int64_t clock_since_ms;
    /* What spool_retain() keeps; spool_open() sets the limits of limits.h, tests smaller ones. */
    int64_t keep_ms;
    int64_t steady_ms; /* a wall clock is believed when it has not been set for so long */
    int64_t limit_bytes;
    size_t limit_records;
};

/* Makes the folder when it is missing and locks it, waiting `wait_ms` for an agent that is just
 * ending.  Returns 0, -EPERM (it belongs to another user), -EBUSY (another agent holds it), or
 * -errno. */
int spool_open(struct spool *s, const char *home, int wait_ms);
void spool_close(struct spool *s);

/* Reads all records, mends what a crash left, and calls `found` for each capture that has not
 * ended; the callee takes what `r` holds (it is cleared afterwards).  What cannot be read for a reason that may pass (EIO,
 * EMFILE) is left as it is, and spool_is_unread(). */
typedef void (*spool_found_cb)(void *arg, struct record *r);
int spool_scan(struct spool *s, int64_t now_ms, spool_found_cb found, void *arg);

/* Tries those again. */
void spool_scan_unread(struct spool *s, spool_found_cb found, void *arg);
bool spool_is_unread(const struct spool *s, const char *id);

/* Who we are for the console; NULL: there is none.  What is owed is owed to the console that knows us by this name. */
void spool_belong(struct spool *s, const char *host);

/* Was it asked for by the present console?  And does it still have to acknowledge it? */
bool spool_is_ours(const struct spool *s, const struct spool_entry *e);
bool spool_is_owed(const struct spool *s, const struct spool_entry *e);

/* The index; NULL when the id is not known.  Borrowed until the next call that changes the spool.
 */
const struct spool_entry *spool_find(const struct spool *s, const char *id);

/* Replaces the record, whole but without fsync. */
int spool_save(const struct spool *s, const struct record *r);

/* The same, durable.  Blocks; looks at nothing of the spool but its folder.  When there is no room
 * for another file it does as spool_end_write(). */
int spool_rewrite(const struct spool *s, const struct record *r);

/* Reads a record.  ERR_SYNTAX, ERR_INVALID and ERR_TOO_BIG mean that it is broken. */
int spool_read(const struct spool *s, const char *id, struct record *ret_record,
               char reterr_text[static RECORD_TEXT]);

/* The size of a result that is not stored yet, or -errno. */
int64_t spool_part_size(const struct spool *s, const char *id);

/* The result that is not packed, opened read-only, or -errno. */
int spool_open_result(const struct spool *s, const struct record *r);

/* ---- packed results: the index says which are, and it changes only after the record on disk ----- */

enum spool_file { SPOOL_RESULT, SPOOL_PACKED, SPOOL_PACKED_NEW, SPOOL_EXPANDED };

/* The caller frees.  SPOOL_EXPANDED is a file without a purpose but to have its name removed. */
char *spool_path(const struct spool *s, const char *id, enum record_kind kind,
                 enum spool_file which);

/* Opened read-only: the descriptor, or -errno.  ERR_MISMATCH when it has another size than
 * `stored_bytes`. */
int spool_open_packed(const struct spool *s, const char *id, enum record_kind kind,
                      int64_t stored_bytes);

/* The newest result that is to be packed and not stuck, or NULL. */
struct spool_entry *spool_next_unpacked(struct spool *s);

/* All that was stuck may be tried again. */
void spool_unstick(struct spool *s);

/* A thread begins or ends to write the record; nothing happens for an id that is not known. */
void spool_hold(struct spool *s, const char *id, bool held);

/* Captures of the console that it has not acknowledged: how many, and the bytes of their results. */
size_t spool_owed(const struct spool *s, int64_t *ret_bytes);

/* ---- the beginning and the end of a capture: disks can be slow, so the step in the middle runs in
 * another thread
 * ---- */

/* What to write, by itself: it refers to neither spool nor record. */
struct spool_files {
    char *record_path;
    char *part_path;
    char *result_path; /* NULL: there is no result, and at the end the part file goes */
    char *text;        /* of the record */
    size_t len;
};

/* ERR_TOO_BIG for a record that is larger than one can be. */
int spool_files_init(struct spool_files *f, const struct spool *s, const struct record *r);
void spool_files_clear(struct spool_files *f);

/* Makes the file for the result and then the record, both durable.  `*ret_fd` is where the result
 * is written.  On failure nothing is left.  Blocks; touches nothing but `f` and its files. */
int spool_begin_write(const struct spool_files *f, int *ret_fd);

/* Makes record and result durable, in the same way.  When there is no room for another file, the
 * record is written over the one that is there: less safe than the other way, and better than none.
 */
int spool_end_write(const struct spool_files *f);

/* Bring the index up to date afterwards; an end may be the first that it hears of a capture. */
void spool_begun(struct spool *s, const struct record *r);
void spool_ended(struct spool *s, const struct record *r);

/* Removes what is too old and what is too much: records with their results when they ended more than keep_ms ago or are too
 * many, else only results.  What a console asked for goes first, for it has that, then the oldest.  The newest result stays,
 * whatever its size, and so does all that has not ended and all that is owed.
 *
 * Age counts only when the wall clock (`now_ms`) has kept pace with the steady one (`steady_ms`, from any beginning) for
 * steady_ms: one that is set wrong must not cost a week's captures. */
void spool_retain(struct spool *s, int64_t now_ms, int64_t steady_ms);
