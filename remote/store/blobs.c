#include "remote/store/blobs.h"

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/wire/blob.h"
#include "remote/store/db_private.h"
#include "remote/store/segments.h"
#include "remote/store/sql.h"

static int put_in_place(struct db *db, const struct blob_sums *sums, const char *part,
                        struct place *ret_place)
{
    if (sums->stored_bytes >= SEGMENT_OWN_BYTES)
        return segments_adopt(db, part, sums->stored_bytes, ret_place);
    AUTOCLOSE int fd = -1;
    int r = files_read(db, FILE_PART, part, &fd);
    return r < 0 ? r : segments_append(db, fd, 0, sums->stored_bytes, ret_place);
}

int blobs_add(struct db *db, const struct blob_sums *sums, const char *part)
{
    struct place place;
    int64_t segment;
    int r = sql_get_int(db, "SELECT segment FROM blobs WHERE sha256 = ? AND segment IS NOT NULL",
                        ARGS(HASH(sums->sha256)), &segment);
    if (r != 0)
        return r < 0 ? r : 0;
    r = put_in_place(db, sums, part, &place);
    if (r < 0)
        return r;
    /* A row without a place may be there: of a result that was removed, and has come again. */
    r = sql_run(db,
                "INSERT INTO blobs (sha256, bytes, stored_bytes, stored_sha256, segment, offset)"
                " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (sha256) DO UPDATE SET"
                " bytes = excluded.bytes, stored_bytes = excluded.stored_bytes,"
                " stored_sha256 = excluded.stored_sha256, segment = excluded.segment,"
                " offset = excluded.offset",
                ARGS(HASH(sums->sha256), INT(sums->bytes), INT(sums->stored_bytes),
                     HASH(sums->stored_sha256), INT(place.segment), INT(place.offset)));
    return r < 0 ? r : 0;
}

/* ERR_NOT_FOUND: it has none. */
static int get_place(struct db *db, const uint8_t *sha256, int64_t *ret_segment, uint64_t *ret_len)
{
    AUTOQUERY struct query q = {0};
    int r = sql_query_one(
        &q, db, "SELECT segment, stored_bytes FROM blobs WHERE sha256 = ? AND segment IS NOT NULL",
        ARGS(HASH(sha256)));
    if (r < 0)
        return r;
    *ret_segment = sql_int(&q);
    *ret_len = (uint64_t)sql_int(&q);
    return 0;
}

int blobs_release(struct db *db, const uint8_t sha256_of_result[static SHA256_BYTES])
{
    int64_t wanted = 0, segment;
    uint64_t len;
    int r = sql_get_int(db, "SELECT COUNT(*) FROM profiles WHERE blob = ? AND removed = 0",
                        ARGS(HASH(sha256_of_result)), &wanted);
    if (r < 0 || wanted > 0)
        return r < 0 ? r : 0;
    r = get_place(db, sha256_of_result, &segment, &len);
    if (r < 0)
        return r == ERR_NOT_FOUND ? 0 : r;
    r = sql_one(db, "UPDATE blobs SET segment = NULL, offset = 0 WHERE sha256 = ?",
                ARGS(HASH(sha256_of_result)));
    if (r == 0)
        r = segments_release(db, segment, len);
    if (r == 0)
        r = sql_run(db, "DELETE FROM analyses WHERE blob = ?", ARGS(HASH(sha256_of_result)));
    return r < 0 ? r : 0;
}
