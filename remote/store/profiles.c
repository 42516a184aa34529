#include "remote/store/profiles.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "remote/store/blobs.h"
#include "remote/store/db_private.h"
#include "remote/store/filter.h"
#include "remote/store/incoming.h"
#include "remote/store/sql.h"

#define SELECT                                                                                     \
    "SELECT p.id, p.host, h.name, p.app, p.instance, p.kind, p.created_ms, p.stored_ms, p.keep,"   \
    " p.removed, b.bytes, b.stored_bytes, b.sha256, b.stored_sha256, b.segment, b.offset"          \
    " FROM profiles p JOIN hosts h ON h.id = p.host JOIN blobs b ON b.sha256 = p.blob"

/* ---- adding ---------------------------------------------------------------------------------- */

static int insert(struct db *db, const struct profile_row *row)
{
    int r = sql_run(db,
                    "INSERT INTO profiles (id, host, app, instance, kind, created_ms, stored_ms,"
                    " keep, removed, blob) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0, ?)",
                    ARGS(TEXT(row->id), TEXT(row->host), TEXT(row->app), INT(row->instance),
                         TEXT(row->kind), INT(row->created_ms), INT(row->stored_ms), INT(row->keep),
                         HASH(row->sums.sha256)));
    return r < 0 ? r : 0;
}

int profiles_add(struct db *db, const struct profile_row *row)
{
    int64_t count = 0;
    char part[FILE_NAME];
    int r =
        sql_get_int(db, "SELECT COUNT(*) FROM profiles WHERE id = ?", ARGS(TEXT(row->id)), &count);
    if (r < 0 || count > 0)
        return r < 0 ? r : 1;
    r = incoming_whole(db, row->id, &row->sums, part);
    if (r == 0)
        r = blobs_add(db, &row->sums, part);
    if (r == 0)
        r = insert(db, row);
    if (r == 0)
        r = sql_one(db, "UPDATE captures SET open = 0 WHERE id = ?", ARGS(TEXT(row->id)));
    return r < 0 ? r : incoming_drop(db, row->id);
}

/* ---- reading --------------------------------------------------------------------------------- */

void profile_list_clear(struct profile_list *l)
{
    free(l->rows);
    *l = (struct profile_list){0};
}

static void read_row(struct query *q, struct profile_row *ret_row)
{
    sql_text(q, ret_row->id, sizeof ret_row->id);
    sql_text(q, ret_row->host, sizeof ret_row->host);
    sql_text(q, ret_row->host_name, sizeof ret_row->host_name);
    sql_text(q, ret_row->app, sizeof ret_row->app);
    ret_row->instance = sql_int(q);
    sql_text(q, ret_row->kind, sizeof ret_row->kind);
    ret_row->created_ms = sql_int(q);
    ret_row->stored_ms = sql_int(q);
    ret_row->keep = sql_bool(q);
    ret_row->removed = sql_bool(q);
    ret_row->sums.bytes = (uint64_t)sql_int(q);
    ret_row->sums.stored_bytes = (uint64_t)sql_int(q);
    sql_hash(q, ret_row->sums.sha256);
    sql_hash(q, ret_row->sums.stored_sha256);
    ret_row->segment = sql_int(q);
    ret_row->offset = (uint64_t)sql_int(q);
}

int profiles_list(struct db *db, const struct profile_filter *filter, struct profile_list *ret_list)
{
    struct profile_list list = {0};
    AUTOFILTER struct filter f;
    filter_init(&f, SELECT " WHERE 1");
    filter_text(&f, " AND p.host = ?", filter->host);
    filter_text(&f, " AND p.app = ?", filter->app);
    filter_text(&f, " AND p.kind = ?", filter->kind);
    filter_text(&f, " AND p.id < ?", filter->before);
    filter_end(&f, " ORDER BY p.id DESC LIMIT ?",
               filter->limit > 0 ? (int64_t)filter->limit : LIMIT_PAGE_ROWS);
    AUTOQUERY struct query q = {0};
    int r = filter_query(&f, &q, db);
    while (r >= 0 && (r = sql_next(&q)) == 1)
        read_row(&q, ROWS_ADD(&list));
    if (r < 0)
        profile_list_clear(&list);
    else
        *ret_list = list;
    return r;
}

int profiles_get(struct db *db, const char *id, struct profile_row *ret_row)
{
    AUTOQUERY struct query q = {0};
    int r = sql_query_one(&q, db, SELECT " WHERE p.id = ?", ARGS(TEXT(id)));
    if (r < 0)
        return r;
    read_row(&q, ret_row);
    return 0;
}

static int open_at(struct db *db, const struct profile_row *row, int *ret_fd)
{
    char name[FILE_NAME];
    struct stat st;
    AUTOCLOSE int fd = -1;
    files_segment_name(row->segment, name);
    int r = files_read(db, FILE_SEGMENT, name, &fd);
    if (r < 0)
        return r;
    if (fstat(fd, &st) < 0)
        return -errno;
    if ((uint64_t)st.st_size < row->offset + row->sums.stored_bytes)
        return -EIO;
    *ret_fd = TAKE_FD(fd);
    return 0;
}

int profiles_open(struct db *db, struct profile_row *row, int *ret_fd)
{
    /* Between the row and the file, the writer may move the bytes elsewhere: then the row says so now. */
    for (int64_t last = 0;;) {
        int r = profiles_get(db, row->id, row);
        if (r < 0)
            return r;
        if (row->removed || row->segment == 0)
            return ERR_NOT_FOUND;
        r = open_at(db, row, ret_fd);
        if (r != -ENOENT || row->segment == last)
            return r;
        last = row->segment;
    }
}

/* ---- changing -------------------------------------------------------------------------------- */

int profiles_set_keep(struct db *db, const char *id, bool keep)
{
    return sql_one(db, "UPDATE profiles SET keep = ? WHERE id = ?", ARGS(INT(keep), TEXT(id)));
}

int profiles_remove(struct db *db, const char *id)
{
    struct profile_row row;
    int r = profiles_get(db, id, &row);
    if (r < 0 || row.removed)
        return r;
    r = sql_one(db, "UPDATE profiles SET removed = 1 WHERE id = ?", ARGS(TEXT(id)));
    return r < 0 ? r : blobs_release(db, row.sums.sha256);
}
