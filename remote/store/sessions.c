/* Sessions of users in browsers. */
#include "lib/base/err.h"
#include "remote/store/accounts.h"
#include "remote/store/db_private.h"
#include "remote/store/sql.h"

/* All but the newest of a user. */
static int drop_surplus(struct db *db, const char *user)
{
    return sql_run(db,
                   "DELETE FROM sessions WHERE rowid IN (SELECT rowid FROM sessions"
                   " WHERE user = ? ORDER BY created_ms DESC, rowid DESC LIMIT -1 OFFSET ?)",
                   ARGS(TEXT(user), INT(LIMIT_SESSIONS_PER_USER)));
}

int sessions_add(struct db *db, const struct session_row *row)
{
    int r = sql_run(db, "DELETE FROM sessions WHERE expires_ms <= ?", ARGS(INT(row->created_ms)));
    if (r >= 0)
        r = sql_run(db,
                    "INSERT INTO sessions (secret_sha256, user, created_ms, expires_ms)"
                    " VALUES (?, ?, ?, ?)",
                    ARGS(HASH(row->secret_sha256), TEXT(row->user), INT(row->created_ms),
                         INT(row->expires_ms)));
    if (r >= 0)
        r = drop_surplus(db, row->user);
    return r < 0 ? r : 0;
}

int sessions_get(struct db *db, const uint8_t secret_sha256[static SHA256_BYTES], int64_t now_ms,
                 struct session_row *ret_row)
{
    char role[16];
    AUTOQUERY struct query q = {0};
    int r =
        sql_query_one(&q, db,
                      "SELECT s.secret_sha256, s.user, u.role, s.created_ms, s.expires_ms"
                      " FROM sessions s JOIN users u ON u.name = s.user WHERE s.secret_sha256 = ?",
                      ARGS(HASH(secret_sha256)));
    if (r < 0)
        return r;
    struct session_row row = {.role = ROLE_VIEWER};
    sql_hash(&q, row.secret_sha256);
    sql_text(&q, row.user, sizeof row.user);
    sql_text(&q, role, sizeof role);
    (void)role_parse(role, &row.role);
    row.created_ms = sql_int(&q);
    row.expires_ms = sql_int(&q);
    if (row.expires_ms <= now_ms)
        return ERR_EXPIRED;
    *ret_row = row;
    return 0;
}

int sessions_remove(struct db *db, const uint8_t secret_sha256[static SHA256_BYTES])
{
    int r = sql_run(db, "DELETE FROM sessions WHERE secret_sha256 = ?", ARGS(HASH(secret_sha256)));
    return r < 0 ? r : 0;
}
