#include "remote/store/hosts.h"

#include <stdlib.h>

#include "lib/base/err.h"
#include "remote/store/db_private.h"
#include "remote/store/sql.h"

#define HOST_COLUMNS "id, name, release, enrolled_ms, seen_ms, revoked_ms, cert_not_after_ms"

/* A secret that is over is told from one that never was, for so long. */
#define OVER_MS (30 * 24 * 3600 * INT64_C(1000))

void host_list_clear(struct host_list *l)
{
    free(l->rows);
    *l = (struct host_list){0};
}

static void read_row(struct query *q, struct host_row *ret_row)
{
    sql_text(q, ret_row->id, sizeof ret_row->id);
    sql_text(q, ret_row->name, sizeof ret_row->name);
    sql_text(q, ret_row->release, sizeof ret_row->release);
    ret_row->enrolled_ms = sql_int(q);
    ret_row->seen_ms = sql_int(q);
    ret_row->revoked_ms = sql_int(q);
    ret_row->cert_not_after_ms = sql_int(q);
}

int hosts_list(struct db *db, struct host_list *ret_list)
{
    struct host_list list = {0};
    AUTOQUERY struct query q = {0};
    int r = sql_query(&q, db, "SELECT " HOST_COLUMNS " FROM hosts ORDER BY name, id", NO_ARGS);
    while (r >= 0 && (r = sql_next(&q)) == 1)
        read_row(&q, ROWS_ADD(&list));
    if (r < 0)
        host_list_clear(&list);
    else
        *ret_list = list;
    return r;
}

int hosts_get(struct db *db, const char *id, struct host_row *ret_row)
{
    AUTOQUERY struct query q = {0};
    int r =
        sql_query_one(&q, db, "SELECT " HOST_COLUMNS " FROM hosts WHERE id = ?", ARGS(TEXT(id)));
    if (r < 0)
        return r;
    read_row(&q, ret_row);
    return 0;
}

int hosts_add(struct db *db, const struct host_row *row)
{
    int64_t count = 0;
    if (!uuid_valid(row->id))
        return ERR_INVALID;
    int r = sql_get_int(db, "SELECT COUNT(*) FROM hosts WHERE revoked_ms = 0", NO_ARGS, &count);
    if (r < 0)
        return r;
    if (count >= LIMIT_HOSTS)
        return ERR_TOO_BIG;
    r = sql_run(db, "INSERT INTO hosts (" HOST_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?)",
                ARGS(TEXT(row->id), TEXT(row->name), TEXT(row->release), INT(row->enrolled_ms),
                     INT(row->seen_ms), INT(row->revoked_ms), INT(row->cert_not_after_ms)));
    return r < 0 ? r : 0;
}

int hosts_seen(struct db *db, const char *id, const char *name, const char *release, int64_t now_ms)
{
    return sql_one(db, "UPDATE hosts SET name = ?, release = ?, seen_ms = ? WHERE id = ?",
                   ARGS(TEXT(name), TEXT(release), INT(now_ms), TEXT(id)));
}

int hosts_set_cert(struct db *db, const char *id, int64_t not_after_ms)
{
    return sql_one(db, "UPDATE hosts SET cert_not_after_ms = ? WHERE id = ?",
                   ARGS(INT(not_after_ms), TEXT(id)));
}

int hosts_revoke(struct db *db, const char *id, int64_t now_ms)
{
    return sql_one(db,
                   "UPDATE hosts SET revoked_ms = IIF(revoked_ms = 0, ?, revoked_ms) WHERE id = ?",
                   ARGS(INT(now_ms), TEXT(id)));
}

/* ---- secrets that enrol a host --------------------------------------------------------------- */

int enrolments_add(struct db *db, const uint8_t secret_sha256[static SHA256_BYTES],
                   int64_t expires_ms, int64_t now_ms)
{
    int64_t count = 0;
    int r = sql_run(db, "DELETE FROM enrolments WHERE expires_ms < ?", ARGS(INT(now_ms - OVER_MS)));
    if (r >= 0)
        r = sql_get_int(db, "SELECT COUNT(*) FROM enrolments", NO_ARGS, &count);
    if (r < 0)
        return r;
    if (count >= LIMIT_HOSTS)
        return ERR_TOO_BIG;
    r = sql_run(db,
                "INSERT INTO enrolments (secret_sha256, created_ms, expires_ms) VALUES (?, ?, ?)",
                ARGS(HASH(secret_sha256), INT(now_ms), INT(expires_ms)));
    return r < 0 ? r : 0;
}

int enrolments_use(struct db *db, const uint8_t secret_sha256[static SHA256_BYTES], int64_t now_ms)
{
    AUTOQUERY struct query q = {0};
    int r =
        sql_query_one(&q, db, "SELECT expires_ms, used_ms FROM enrolments WHERE secret_sha256 = ?",
                      ARGS(HASH(secret_sha256)));
    if (r < 0)
        return r;
    int64_t expires_ms = sql_int(&q), used_ms = sql_int(&q);
    if (used_ms != 0)
        return ERR_EXISTS;
    if (expires_ms <= now_ms)
        return ERR_EXPIRED;
    return sql_one(db, "UPDATE enrolments SET used_ms = ? WHERE secret_sha256 = ?",
                   ARGS(INT(now_ms), HASH(secret_sha256)));
}
