/* Retention: one small piece of work at a time, so that other writes do not wait long. */
#include "remote/store/profiles.h"

#include <errno.h>
#include <stdio.h>
#include <sys/statvfs.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "remote/store/blobs.h"
#include "remote/store/db_private.h"
#include "remote/store/exits.h"
#include "remote/store/history.h"
#include "remote/store/incoming.h"
#include "remote/store/segments.h"
#include "remote/store/sql.h"

/* Rows of one piece of work. */
enum { PROFILES = 50, ROWS = 500, FREE_PAGES = 500 };

#define PART_MS (7 * 24 * 3600 * INT64_C(1000))

/* Analyses take this part of limit_bytes at most: they can be made again. */
enum { ANALYSES_SHARE = 8 };

struct step_args {
    struct db *db;
    const struct retention *limits;
    int64_t now_ms;
};

/* Each returns 1 when it has removed something, 0 when there is nothing to do. */
typedef int (*step_cb)(const struct step_args *a);

static int did(int changed)
{
    return changed > 0 ? 1 : changed;
}

/* ---- profiles -------------------------------------------------------------------------------- */

/* The oldest profile without `keep` that was stored before: ERR_NOT_FOUND when there is none. */
static int find_oldest(struct db *db, int64_t before_ms, char ret_id[static UUID_TEXT])
{
    AUTOQUERY struct query q = {0};
    int r = sql_query_one(&q, db,
                          "SELECT id FROM profiles WHERE removed = 0 AND keep = 0"
                          " AND stored_ms < ? ORDER BY stored_ms, id LIMIT 1",
                          ARGS(INT(before_ms)));
    if (r == 0)
        sql_text(&q, ret_id, UUID_TEXT);
    return r;
}

/* 1, or 0 when there is none. */
static int remove_oldest(struct db *db, int64_t before_ms)
{
    char id[UUID_TEXT];
    int r = find_oldest(db, before_ms, id);
    if (r == ERR_NOT_FOUND)
        return 0;
    if (r == 0)
        r = profiles_remove(db, id);
    return r < 0 ? r : 1;
}

static int old_profiles(const struct step_args *a)
{
    int r = 0, removed = 0;
    if (a->limits->keep_ms <= 0)
        return 0;
    int64_t before_ms = a->now_ms - a->limits->keep_ms;
    while (removed < PROFILES && (r = remove_oldest(a->db, before_ms)) == 1)
        removed++;
    return r < 0 ? r : did(removed);
}

/* Removes until what is wanted fits. */
static int too_many_profiles(const struct step_args *a)
{
    uint64_t bytes, live;
    int removed = 0;
    while (a->limits->limit_bytes > 0 && removed < PROFILES) {
        int r = segments_sum(a->db, &bytes, &live);
        if (r == 0 && live > a->limits->limit_bytes)
            r = remove_oldest(a->db, INT64_MAX);
        if (r < 0)
            return r;
        if (r == 0)
            break;
        removed++;
    }
    return did(removed);
}

/* ---- files ----------------------------------------------------------------------------------- */

static bool is_tight(const struct step_args *a, uint64_t bytes)
{
    return a->limits->limit_bytes > 0 && bytes > a->limits->limit_bytes;
}

static int holes(const struct step_args *a)
{
    uint64_t bytes, live;
    int r = segments_sum(a->db, &bytes, &live);
    if (r == 0)
        r = segments_rewrite(a->db, is_tight(a, bytes));
    /* What is wanted fits, but with its holes it does not, and those are too few to write it anew for them: one more. */
    if (r == 0 && is_tight(a, bytes) && live < bytes)
        r = remove_oldest(a->db, INT64_MAX);
    return r;
}

static int parts(const struct step_args *a)
{
    char capture[UUID_TEXT];
    AUTOQUERY struct query q = {0};
    int r = sql_query_one(&q, a->db,
                          "SELECT i.capture FROM incoming i WHERE i.touched_ms < ? AND NOT EXISTS"
                          " (SELECT 1 FROM captures c WHERE c.id = i.capture AND c.open = 1"
                          " AND c.ended_ms = 0)"
                          " LIMIT 1",
                          ARGS(INT(a->now_ms - PART_MS)));
    if (r < 0)
        return r == ERR_NOT_FOUND ? 0 : r;
    sql_text(&q, capture, sizeof capture);
    sql_end(&q);
    r = incoming_drop(a->db, capture);
    return r < 0 ? r : 1;
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* A capture's row goes when it has ended, and with it the row of a profile that was removed (and, by a trigger, its blob's). */
#define OLD_CAPTURES                                                                               \
    "SELECT c.id FROM captures c WHERE c.created_ms < ?1 AND (c.open = 0 OR c.ended_ms > 0)"       \
    " AND NOT EXISTS (SELECT 1 FROM profiles p WHERE p.id = c.id AND p.removed = 0)"               \
    " ORDER BY c.created_ms LIMIT ?2"

static int captures(const struct step_args *a)
{
    if (a->limits->keep_ms <= 0)
        return 0;
    const struct arg *args = ARGS(INT(a->now_ms - 2 * a->limits->keep_ms), INT(ROWS));
    int r =
        sql_run(a->db, "DELETE FROM profiles WHERE removed = 1 AND id IN (" OLD_CAPTURES ")", args);
    if (r >= 0)
        r = sql_run(a->db, "DELETE FROM captures WHERE id IN (" OLD_CAPTURES ")", args);
    return did(r);
}

static int audit(const struct step_args *a)
{
    if (a->limits->audit_ms <= 0)
        return 0;
    return did(sql_run(a->db,
                       "DELETE FROM audit WHERE id IN"
                       " (SELECT id FROM audit WHERE at_ms < ? ORDER BY at_ms LIMIT ?)",
                       ARGS(INT(a->now_ms - a->limits->audit_ms), INT(ROWS))));
}

static int sessions(const struct step_args *a)
{
    return did(sql_run(a->db, "DELETE FROM sessions WHERE expires_ms <= ?", ARGS(INT(a->now_ms))));
}

static int analyses(const struct step_args *a)
{
    int64_t bytes = 0;
    int r = sql_get_int(a->db, "SELECT TOTAL(bytes) FROM analyses", NO_ARGS, &bytes);
    if (r < 0 || a->limits->limit_bytes == 0 ||
        (uint64_t)bytes <= a->limits->limit_bytes / ANALYSES_SHARE)
        return r < 0 ? r : 0;
    return did(sql_run(
        a->db, "DELETE FROM analyses WHERE id = (SELECT id FROM analyses ORDER BY id LIMIT 1)",
        NO_ARGS));
}

static int history(const struct step_args *a)
{
    int r = history_thin(a->db, a->now_ms);
    return r != 0 ? r : history_forget(a->db, a->now_ms);
}

static int exits(const struct step_args *a)
{
    return exits_forget(a->db, a->now_ms);
}

/* Pages that nothing uses go back to the disk. */
static int free_pages(const struct step_args *a)
{
    char vacuum[64];
    int64_t pages = 0;
    int r = sql_get_int(a->db, "PRAGMA freelist_count", NO_ARGS, &pages);
    if (r < 0 || pages < FREE_PAGES)
        return r < 0 ? r : 0;
    (void)snprintf(vacuum, sizeof vacuum, "PRAGMA incremental_vacuum(%d)", FREE_PAGES);
    r = db_exec(a->db, vacuum);
    return r < 0 ? r : 1;
}

/* In this order: what frees most comes first, and what needs room itself comes last. */
static const step_cb steps[] = {old_profiles, too_many_profiles, parts, captures, audit,
                                sessions,     history,           exits, analyses, holes,
                                free_pages};

int retention_step(struct db *db, const struct retention *limits, int64_t now_ms)
{
    struct step_args a = {.db = db, .limits = limits, .now_ms = now_ms};
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        int r = steps[i](&a);
        if (r != 0)
            return r;
    }
    return 0;
}

/* ---- a full disk ----------------------------------------------------------------------------- */

static int disk_size(struct db *db, uint64_t *ret_bytes)
{
    struct statvfs fs;
    if (fstatvfs(db->folders[FILE_SEGMENT], &fs) < 0)
        return -errno;
    *ret_bytes = (uint64_t)fs.f_blocks * fs.f_frsize;
    return 0;
}

/* What all segments may take so that this result fits; 0: it never does.  Counted from the size of the disk, not from what is
 * left of it: when others fill it, removing our results would not help for long. */
static int room_for(struct db *db, const char *capture, uint64_t stored_bytes, uint64_t *ret_bytes)
{
    uint64_t disk = 0, others = 0;
    int r = disk_size(db, &disk);
    if (r == 0)
        r = incoming_others(db, capture, &others);
    uint64_t taken = SPARE_BYTES + stored_bytes + others;
    if (r == 0)
        *ret_bytes = disk > taken ? disk - taken : 0;
    return r;
}

int retention_make_room(struct db *db, const char *capture, uint64_t stored_bytes,
                        const struct retention *limits, int64_t now_ms)
{
    struct retention tight = *limits;
    uint64_t missing = 0, bytes = 0;
    int r = incoming_missing(db, capture, stored_bytes, &missing);
    if (r == 0)
        r = incoming_room(db, capture, missing);
    if (r != -ENOSPC)
        return r;
    r = room_for(db, capture, stored_bytes, &bytes);
    if (r < 0)
        return r;
    if (bytes > 0 && (tight.limit_bytes == 0 || tight.limit_bytes > bytes))
        tight.limit_bytes = bytes;
    r = retention_step(db, &tight, now_ms);
    return r != 0 ? r : incoming_give_way(db, capture);
}
