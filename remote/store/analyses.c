/* What analyses made of results: a cache in the database. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "remote/store/db_private.h"
#include "remote/store/profiles.h"
#include "remote/store/sql.h"

/* For one that was removed in the meantime, nothing is to be kept. */
static int check_blob(struct db *db, const uint8_t *sha256)
{
    int64_t count = 0;
    int r = sql_get_int(db, "SELECT COUNT(*) FROM blobs WHERE sha256 = ? AND segment IS NOT NULL",
                        ARGS(HASH(sha256)), &count);
    if (r < 0)
        return r;
    return count > 0 ? 0 : ERR_NOT_FOUND;
}

int analyses_put(struct db *db, const uint8_t sha256_of_result[static SHA256_BYTES],
                 const char *name, int version, const char *text, size_t len)
{
    if (len > LIMIT_ANALYSIS_TEXT)
        return ERR_TOO_BIG;
    int r = check_blob(db, sha256_of_result);
    if (r < 0)
        return r;
    r = sql_run(db,
                "INSERT OR REPLACE INTO analyses (blob, name, version, bytes, text)"
                " VALUES (?, ?, ?, ?, ?)",
                ARGS(HASH(sha256_of_result), TEXT(name), INT(version), INT(len),
                     BYTES(len > 0 ? text : "", len)));
    return r < 0 ? r : 0;
}

int analyses_get(struct db *db, const uint8_t sha256_of_result[static SHA256_BYTES],
                 const char *name, int version, char **ret_text, size_t *ret_len)
{
    size_t len;
    AUTOQUERY struct query q = {0};
    int r = sql_query_one(&q, db,
                          "SELECT text FROM analyses WHERE blob = ? AND name = ? AND version = ?",
                          ARGS(HASH(sha256_of_result), TEXT(name), INT(version)));
    if (r < 0)
        return r;
    const void *bytes = sql_bytes(&q, &len);
    char *text = malloc(len + 1);
    if (!text)
        return -ENOMEM;
    if (len > 0)
        memcpy(text, bytes, len);
    text[len] = '\0';
    *ret_text = text;
    *ret_len = len;
    return 0;
}
