#include "remote/store/segments.h"

#include <errno.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "remote/store/db_private.h"
#include "remote/store/sql.h"

/* What one call of segments_rewrite() moves at most: other writes wait for it. */
enum { MOVE_BLOBS = 1000, MOVE_BYTES = 16 << 20, COPY_BYTES = 256 << 10 };

/* ---- copying --------------------------------------------------------------------------------- */

/* ERR_MISMATCH when the source ends too early or cannot be read. */
static int copy(int from, uint64_t from_offset, int to, uint64_t to_offset, uint64_t len)
{
    AUTOFREE char *piece = xcalloc(1, COPY_BYTES);
    while (len > 0) {
        ssize_t n = pread(from, piece, len < COPY_BYTES ? len : COPY_BYTES, (off_t)from_offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return ERR_MISMATCH;
        int r = files_write_at(to, piece, (size_t)n, to_offset);
        if (r < 0)
            return r;
        from_offset += (uint64_t)n;
        to_offset += (uint64_t)n;
        len -= (uint64_t)n;
    }
    return 0;
}

/* ---- room ------------------------------------------------------------------------------------ */

static int add_row(struct db *db, uint64_t len, bool open, int64_t *ret_number)
{
    int r = sql_run(db, "INSERT INTO segments (bytes, live_bytes, open) VALUES (?, ?, ?)",
                    ARGS(INT(len), INT(len), INT(open)));
    if (r < 0)
        return r;
    *ret_number = sqlite3_last_insert_rowid(db->sqlite);
    return 0;
}

static int make_open(struct db *db, struct place *ret_place, int *ret_fd)
{
    char name[FILE_NAME];
    int64_t number;
    int r = add_row(db, 0, true, &number);
    if (r < 0)
        return r;
    files_segment_name(number, name);
    *ret_place = (struct place){.segment = number};
    return files_make(db, FILE_SEGMENT, name, ret_fd);
}

/* The open segment and where it ends, when `len` bytes fit in. */
static int find_open(struct db *db, uint64_t len, struct place *ret_place)
{
    AUTOQUERY struct query q = {0};
    int r = sql_query_one(&q, db, "SELECT number, bytes FROM segments WHERE open = 1", NO_ARGS);
    if (r < 0)
        return r;
    struct place place = {.segment = sql_int(&q)};
    place.offset = (uint64_t)sql_int(&q);
    if (place.offset + len > SEGMENT_BYTES)
        return ERR_NOT_FOUND;
    *ret_place = place;
    return 0;
}

static int close_open(struct db *db)
{
    int r = sql_run(db, "UPDATE segments SET open = 0 WHERE open = 1", NO_ARGS);
    return r < 0 ? r : 0;
}

static int open_segment(struct db *db, uint64_t len, struct place *ret_place, int *ret_fd)
{
    char name[FILE_NAME];
    int r = find_open(db, len, ret_place);
    if (r == 0) {
        files_segment_name(ret_place->segment, name);
        r = files_open(db, FILE_SEGMENT, name, (int64_t)ret_place->offset, ret_fd);
    }
    /* None, a full one, or one whose file somebody has taken away. */
    if (r != ERR_NOT_FOUND && r != -ENOENT)
        return r;
    r = close_open(db);
    return r < 0 ? r : make_open(db, ret_place, ret_fd);
}

int segments_append(struct db *db, int fd, uint64_t offset, uint64_t len, struct place *ret_place)
{
    struct place place;
    int to = -1;
    int r = open_segment(db, len, &place, &to);
    if (r == 0)
        r = copy(fd, offset, to, place.offset, len);
    if (r == 0)
        r = sql_one(db,
                    "UPDATE segments SET bytes = bytes + ?, live_bytes = live_bytes + ?"
                    " WHERE number = ?",
                    ARGS(INT(len), INT(len), INT(place.segment)));
    if (r == 0)
        *ret_place = place;
    return r;
}

int segments_adopt(struct db *db, const char *part, uint64_t len, struct place *ret_place)
{
    char name[FILE_NAME];
    int64_t number;
    int r = add_row(db, len, false, &number);
    if (r < 0)
        return r;
    files_segment_name(number, name);
    r = files_link(db, part, name);
    if (r == 0)
        *ret_place = (struct place){.segment = number};
    return r;
}

int segments_release(struct db *db, int64_t segment, uint64_t len)
{
    char name[FILE_NAME];
    int r = sql_one(db, "UPDATE segments SET live_bytes = live_bytes - ? WHERE number = ?",
                    ARGS(INT(len), INT(segment)));
    if (r == 0)
        r = sql_run(db, "DELETE FROM segments WHERE number = ? AND live_bytes <= 0",
                    ARGS(INT(segment)));
    if (r <= 0)
        return r;
    files_segment_name(segment, name);
    files_drop(db, FILE_SEGMENT, name);
    return 0;
}

int segments_sum(struct db *db, uint64_t *ret_bytes, uint64_t *ret_live)
{
    AUTOQUERY struct query q = {0};
    int r = sql_query_one(
        &q, db, "SELECT TOTAL(IIF(damaged, live_bytes, bytes)), TOTAL(live_bytes) FROM segments",
        NO_ARGS);
    if (r < 0)
        return r;
    *ret_bytes = (uint64_t)sql_int(&q);
    *ret_live = (uint64_t)sql_int(&q);
    return 0;
}

/* ---- writing anew ---------------------------------------------------------------------------- */

/* Half of it holes; with little room left an eighth. */
static int find_holes(struct db *db, bool tight, int64_t *ret_number)
{
    return sql_get_int(db,
                       "SELECT number FROM segments WHERE damaged = 0"
                       " AND (bytes - live_bytes) * ? >= bytes AND live_bytes < bytes"
                       " ORDER BY bytes - live_bytes DESC LIMIT 1",
                       ARGS(INT(tight ? 8 : 2)), ret_number);
}

struct moving {
    uint8_t sha256[SHA256_BYTES];
    uint64_t offset;
    uint64_t len;
};

static int next_blob(struct db *db, int64_t number, struct moving *ret_blob)
{
    AUTOQUERY struct query q = {0};
    int r = sql_query_one(&q, db,
                          "SELECT sha256, offset, stored_bytes FROM blobs WHERE segment = ?"
                          " ORDER BY offset LIMIT 1",
                          ARGS(INT(number)));
    if (r < 0)
        return r;
    sql_hash(&q, ret_blob->sha256);
    ret_blob->offset = (uint64_t)sql_int(&q);
    ret_blob->len = (uint64_t)sql_int(&q);
    return 0;
}

static int move_blob(struct db *db, int64_t number, int fd, const struct moving *blob)
{
    struct place place;
    int r = segments_append(db, fd, blob->offset, blob->len, &place);
    if (r == 0)
        r = sql_one(db, "UPDATE blobs SET segment = ?, offset = ? WHERE sha256 = ?",
                    ARGS(INT(place.segment), INT(place.offset), HASH(blob->sha256)));
    return r < 0 ? r : segments_release(db, number, blob->len);
}

/* ERR_NOT_FOUND when all of it is moved. */
static int move_some(struct db *db, int64_t number, int fd)
{
    struct moving blob;
    uint64_t moved = 0;
    for (int i = 0; i < MOVE_BLOBS && moved < MOVE_BYTES; i++) {
        int r = next_blob(db, number, &blob);
        if (r == 0)
            r = move_blob(db, number, fd, &blob);
        if (r < 0)
            return r;
        moved += blob.len;
    }
    return 0;
}

/* It stays as it is: what can be read of it can be read there. */
static int give_up(struct db *db, int64_t number, int error)
{
    log_err(error, "%s/segments/%06lld.seg is damaged and keeps its holes", db->dir,
            (long long)number);
    int r = sql_one(db, "UPDATE segments SET damaged = 1 WHERE number = ?", ARGS(INT(number)));
    return r < 0 ? r : 1;
}

int segments_rewrite(struct db *db, bool tight)
{
    char name[FILE_NAME];
    int64_t number;
    int r = find_holes(db, tight, &number);
    if (r <= 0)
        return r;
    r = sql_run(db, "UPDATE segments SET open = 0 WHERE number = ?", ARGS(INT(number)));
    if (r < 0)
        return r;
    AUTOCLOSE int fd = -1;
    files_segment_name(number, name);
    r = files_read(db, FILE_SEGMENT, name, &fd);
    if (r == 0)
        r = move_some(db, number, fd);
    if (r == -ENOENT || r == ERR_MISMATCH)
        return give_up(db, number, r);
    return r < 0 && r != ERR_NOT_FOUND ? r : 1;
}
