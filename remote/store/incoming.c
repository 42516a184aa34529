#include "remote/store/incoming.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "remote/store/db_private.h"
#include "remote/store/profiles.h"
#include "remote/store/sql.h"

/* What even those that were begun leave free: others fill the disk, too. */
#define LEAST_BYTES (16ull << 20)

/* A result to which nothing was added for so long does not come in now: nothing is held free for it. */
enum { LIVE_MS = 2 * 60 * 1000 };

/* Digits of the stored bytes' SHA-256 in the name: other bytes of the same capture never get the same file, so a transaction
 * that is undone cannot leave theirs in it. */
enum { PART_DIGITS = 16 };

static void part_name(const char *capture, const uint8_t *stored_sha256,
                      char ret_name[static FILE_NAME])
{
    char hex[SHA256_TEXT];
    sha256_to_hex(stored_sha256, hex);
    (void)snprintf(ret_name, FILE_NAME, "%s.%.*s.part", capture, PART_DIGITS, hex);
}

/* ---- rows ------------------------------------------------------------------------------------ */

struct part {
    char file[FILE_NAME];
    uint64_t stored_bytes;
    uint8_t stored_sha256[SHA256_BYTES];
    uint64_t have;
};

static int get_part(struct db *db, const char *capture, struct part *ret_part)
{
    AUTOQUERY struct query q = {0};
    int r = sql_query_one(
        &q, db,
        "SELECT file, stored_bytes, stored_sha256, have_bytes FROM incoming WHERE capture = ?",
        ARGS(TEXT(capture)));
    if (r < 0)
        return r;
    sql_text(&q, ret_part->file, sizeof ret_part->file);
    ret_part->stored_bytes = (uint64_t)sql_int(&q);
    sql_hash(&q, ret_part->stored_sha256);
    ret_part->have = (uint64_t)sql_int(&q);
    return 0;
}

static int set_have(struct db *db, const char *capture, uint64_t have)
{
    return sql_one(db, "UPDATE incoming SET have_bytes = ?, touched_ms = ? WHERE capture = ?",
                   ARGS(INT(have), INT(loop_wall_ms()), TEXT(capture)));
}

/* ---- beginning ------------------------------------------------------------------------------- */

static int check_new(struct db *db, const char *capture, uint64_t stored_bytes)
{
    int64_t count = 0;
    if (!uuid_valid_v7(capture) || stored_bytes == 0)
        return ERR_INVALID;
    if (stored_bytes > LIMIT_BLOB_STORED)
        return ERR_TOO_BIG;
    int r =
        sql_get_int(db, "SELECT COUNT(*) FROM profiles WHERE id = ?", ARGS(TEXT(capture)), &count);
    if (r < 0)
        return r;
    return count > 0 ? ERR_EXISTS : 0;
}

static int check_left(struct db *db, uint64_t bytes)
{
    struct statvfs fs;
    if (fstatvfs(db->folders[FILE_PART], &fs) < 0)
        return -errno;
    return (uint64_t)fs.f_bavail * fs.f_frsize < bytes ? -ENOSPC : 0;
}

/* A touch in the future is one before the clock was set: it counts. */
static int sum_live(struct db *db, const char *sql, const char *capture, uint64_t *ret_bytes)
{
    int64_t bytes = 0;
    int r = sql_get_int(db, sql, ARGS(TEXT(capture), INT(loop_wall_ms() - LIVE_MS)), &bytes);
    if (r < 0)
        return r;
    *ret_bytes = (uint64_t)bytes;
    return 0;
}

int incoming_others(struct db *db, const char *capture, uint64_t *ret_bytes)
{
    return sum_live(db,
                    "SELECT CAST(TOTAL(stored_bytes) AS INTEGER) FROM incoming"
                    " WHERE capture <> ? AND touched_ms > ?",
                    capture, ret_bytes);
}

int incoming_room(struct db *db, const char *capture, uint64_t bytes)
{
    uint64_t promised = 0;
    int r = sum_live(db,
                     "SELECT CAST(TOTAL(stored_bytes - have_bytes) AS INTEGER) FROM incoming"
                     " WHERE capture <> ? AND touched_ms > ?",
                     capture, &promised);
    return r < 0 ? r : check_left(db, bytes + promised + SPARE_BYTES);
}

int incoming_missing(struct db *db, const char *capture, uint64_t stored_bytes,
                     uint64_t *ret_missing)
{
    struct part part;
    int r = get_part(db, capture, &part);
    if (r < 0 && r != ERR_NOT_FOUND)
        return r;
    bool begun = r == 0 && part.stored_bytes == stored_bytes;
    *ret_missing = stored_bytes - (begun ? part.have : 0);
    return 0;
}

/* How much of what the row says is really there. */
static int find_again(struct db *db, const struct part *part, uint64_t *ret_have)
{
    struct stat st;
    int fd;
    int r = files_open(db, FILE_PART, part->file, (int64_t)part->have, &fd);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return -errno;
    uint64_t size = (uint64_t)st.st_size;
    *ret_have = size < part->have ? size : part->have;
    return 0;
}

static int go_on(struct db *db, const char *capture, const struct part *part, uint64_t *ret_offset)
{
    uint64_t have = 0;
    int r = find_again(db, part, &have);
    if (r == 0)
        r = incoming_room(db, capture, part->stored_bytes - have);
    if (r == 0)
        r = set_have(db, capture, have);
    if (r == 0)
        *ret_offset = have;
    return r;
}

static int begin_anew(struct db *db, const char *capture, const struct part *part)
{
    int fd;
    int r = incoming_drop(db, capture);
    if (r == 0)
        r = incoming_room(db, capture, part->stored_bytes);
    if (r == 0)
        r = files_make(db, FILE_PART, part->file, &fd);
    if (r < 0)
        return r;
    r = sql_run(db,
                "INSERT INTO incoming (capture, file, stored_bytes, stored_sha256, have_bytes,"
                " touched_ms) VALUES (?, ?, ?, ?, 0, ?)",
                ARGS(TEXT(capture), TEXT(part->file), INT(part->stored_bytes),
                     HASH(part->stored_sha256), INT(loop_wall_ms())));
    return r < 0 ? r : 0;
}

int incoming_begin(struct db *db, const char *capture, uint64_t stored_bytes,
                   const uint8_t stored_sha256[static SHA256_BYTES], uint64_t *ret_offset)
{
    struct part here, wanted = {.stored_bytes = stored_bytes};
    int r = check_new(db, capture, stored_bytes);
    if (r < 0)
        return r;
    memcpy(wanted.stored_sha256, stored_sha256, SHA256_BYTES);
    part_name(capture, stored_sha256, wanted.file);
    r = get_part(db, capture, &here);
    if (r < 0 && r != ERR_NOT_FOUND)
        return r;
    bool same = r == 0 && here.stored_bytes == stored_bytes &&
                memcmp(here.stored_sha256, stored_sha256, SHA256_BYTES) == 0;
    if (same)
        r = go_on(db, capture, &here, ret_offset);
    if (same && r != -ENOENT)
        return r;
    r = begin_anew(db, capture, &wanted);
    if (r == 0)
        *ret_offset = 0;
    return r;
}

/* ---- pieces ---------------------------------------------------------------------------------- */

int incoming_add(struct db *db, const char *capture, uint64_t offset, const void *data, size_t len)
{
    struct part part;
    int fd;
    int r = get_part(db, capture, &part);
    if (r < 0)
        return r;
    if (offset != part.have)
        return ERR_PROTOCOL;
    if (len > part.stored_bytes - part.have)
        return ERR_TOO_BIG;
    r = check_left(db, len + LEAST_BYTES);
    if (r < 0)
        return r;
    r = files_open(db, FILE_PART, part.file, (int64_t)part.have, &fd);
    if (r == 0)
        r = files_write_at(fd, data, len, offset);
    return r < 0 ? r : set_have(db, capture, offset + len);
}

int incoming_drop(struct db *db, const char *capture)
{
    struct part part;
    int r = get_part(db, capture, &part);
    if (r < 0)
        return r == ERR_NOT_FOUND ? 0 : r;
    r = sql_one(db, "DELETE FROM incoming WHERE capture = ?", ARGS(TEXT(capture)));
    if (r == 0)
        files_drop(db, FILE_PART, part.file);
    return r;
}

/* The one that was begun last, of all or of those that nobody brings any more. */
static int youngest(struct db *db, int64_t touched_before_ms, char ret_capture[static UUID_TEXT])
{
    AUTOQUERY struct query q = {0};
    int r = sql_query_one(&q, db,
                          "SELECT capture FROM incoming WHERE touched_ms <= ?"
                          " ORDER BY rowid DESC LIMIT 1",
                          ARGS(INT(touched_before_ms)));
    if (r == 0)
        sql_text(&q, ret_capture, UUID_TEXT);
    return r;
}

int incoming_give_way(struct db *db, const char *capture)
{
    struct part own;
    int64_t count = 0;
    char victim[UUID_TEXT];
    int r = get_part(db, capture, &own);
    if (r < 0 && r != ERR_NOT_FOUND)
        return r;
    bool begun = r == 0;
    r = sql_get_int(db, "SELECT COUNT(*) FROM incoming", NO_ARGS, &count);
    if (r >= 0)
        r = youngest(db, begun ? INT64_MAX : loop_wall_ms() - LIVE_MS, victim);
    if (r == ERR_NOT_FOUND || (r == 0 && begun && count < 2))
        return 0;
    if (r == 0)
        r = incoming_drop(db, victim);
    return r < 0 ? r : 1;
}

/* ---- the end --------------------------------------------------------------------------------- */

int incoming_whole(struct db *db, const char *capture, const struct blob_sums *announced,
                   char ret_part[static FILE_NAME])
{
    struct part part;
    int r = get_part(db, capture, &part);
    if (r < 0)
        return r;
    if (part.have != part.stored_bytes || part.stored_bytes != announced->stored_bytes ||
        memcmp(part.stored_sha256, announced->stored_sha256, SHA256_BYTES) != 0)
        return ERR_MISMATCH;
    memcpy(ret_part, part.file, FILE_NAME);
    return 0;
}

static int mismatch(char *reterr_text, size_t size, const char *sentence)
{
    (void)snprintf(reterr_text, size, "%s", sentence);
    return ERR_MISMATCH;
}

static int check_size(int fd, uint64_t announced, char *reterr_text, size_t size)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if ((uint64_t)st.st_size == announced)
        return 0;
    (void)snprintf(reterr_text, size,
                   "%" PRIu64 " bytes of the result have come, %" PRIu64 " were announced",
                   (uint64_t)st.st_size, announced);
    return ERR_MISMATCH;
}

static int compare(const struct blob_sums *here, const struct blob_sums *announced,
                   char *reterr_text, size_t size)
{
    if (memcmp(here->stored_sha256, announced->stored_sha256, SHA256_BYTES) != 0)
        return mismatch(reterr_text, size, "the bytes that have come are not those announced");
    if (here->bytes != announced->bytes)
        return mismatch(reterr_text, size, "the result is not as long as was announced");
    if (memcmp(here->sha256, announced->sha256, SHA256_BYTES) != 0)
        return mismatch(reterr_text, size, "the result is not the one that was announced");
    return 0;
}

static int check_file(int fd, const struct blob_sums *announced, const atomic_bool *stop,
                      char *reterr_text, size_t size)
{
    struct blob_sums here;
    int r = check_size(fd, announced->stored_bytes, reterr_text, size);
    if (r < 0)
        return r;
    r = blob_check(fd, announced->stored_bytes, announced->bytes, stop, &here);
    if (r == ERR_SYNTAX)
        return mismatch(reterr_text, size, "the bytes that have come are no whole zstd frame");
    if (r == ERR_TOO_BIG)
        return mismatch(reterr_text, size, "the result is longer than was announced");
    return r < 0 ? r : compare(&here, announced, reterr_text, size);
}

int incoming_check(const char *dir, const char *capture, const struct blob_sums *announced,
                   const atomic_bool *stop, char *reterr_text, size_t size)
{
    char name[FILE_NAME];
    if (!uuid_valid_v7(capture))
        return ERR_INVALID;
    if (announced->bytes > LIMIT_RESULT || announced->stored_bytes > LIMIT_BLOB_STORED)
        return ERR_TOO_BIG;
    part_name(capture, announced->stored_sha256, name);
    AUTOFREE char *path = xasprintf("%s/incoming/%s", dir, name);
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return mismatch(reterr_text, size, "nothing of the result has come");
    if (fd < 0)
        return -errno;
    return check_file(fd, announced, stop, reterr_text, size);
}
