/* Users and API tokens. */
#include "remote/store/accounts.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "remote/store/db_private.h"
#include "remote/store/sql.h"

#define USER_COLUMNS "name, role, password, created_ms"
#define TOKEN_COLUMNS "id, name, owner, role, secret_sha256, created_ms, expires_ms, used_ms"

/* When a token was used is kept to the minute: not every request is to be a write. */
#define USED_STEP_MS (60 * INT64_C(1000))

static const char *const role_names[] = {
#define X(name, word) [name] = word,
    ROLES(X)
#undef X
};

const char *role_name(enum role role)
{
    return role_names[role];
}

int role_parse(const char *word, enum role *ret_role)
{
    for (size_t i = 0; i < ARRAY_SIZE(role_names); i++)
        if (str_eq(word, role_names[i])) {
            *ret_role = (enum role)i;
            return 0;
        }
    return ERR_INVALID;
}

/* A word that is none of ours may do least. */
static enum role read_role(struct query *q)
{
    char word[16];
    enum role role = ROLE_VIEWER;
    sql_text(q, word, sizeof word);
    (void)role_parse(word, &role);
    return role;
}

static int check_room(struct db *db, const char *sql, unsigned limit)
{
    int64_t count = 0;
    int r = sql_get_int(db, sql, NO_ARGS, &count);
    if (r < 0)
        return r;
    return count < limit ? 0 : ERR_TOO_BIG;
}

/* ---- users ----------------------------------------------------------------------------------- */

static bool alphanumeric(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool user_name_valid(const char *name)
{
    size_t len = strlen(name);
    if (len == 0 || len >= USER_NAME || !alphanumeric(name[0]))
        return false;
    for (const char *c = name; *c; c++)
        if (!alphanumeric(*c) && !strchr("._-@", *c))
            return false;
    return true;
}

void user_list_clear(struct user_list *l)
{
    if (l->rows)
        secret_wipe(l->rows, l->count * sizeof *l->rows);
    free(l->rows);
    *l = (struct user_list){0};
}

static void read_user(struct query *q, struct user_row *ret_row)
{
    sql_text(q, ret_row->name, sizeof ret_row->name);
    ret_row->role = read_role(q);
    sql_text(q, ret_row->password, sizeof ret_row->password);
    ret_row->created_ms = sql_int(q);
}

int users_list(struct db *db, struct user_list *ret_list)
{
    struct user_list list = {0};
    AUTOQUERY struct query q = {0};
    int r = sql_query(&q, db, "SELECT " USER_COLUMNS " FROM users ORDER BY name", NO_ARGS);
    while (r >= 0 && (r = sql_next(&q)) == 1)
        read_user(&q, ROWS_ADD(&list));
    if (r < 0)
        user_list_clear(&list);
    else
        *ret_list = list;
    return r;
}

int users_get(struct db *db, const char *name, struct user_row *ret_row)
{
    AUTOQUERY struct query q = {0};
    int r = sql_query_one(&q, db, "SELECT " USER_COLUMNS " FROM users WHERE name = ?",
                          ARGS(TEXT(name)));
    if (r < 0)
        return r;
    read_user(&q, ret_row);
    return 0;
}

int users_add(struct db *db, const struct user_row *row)
{
    if (!user_name_valid(row->name))
        return ERR_INVALID;
    int r = check_room(db, "SELECT COUNT(*) FROM users", LIMIT_USERS);
    if (r < 0)
        return r;
    r = sql_run(db, "INSERT INTO users (" USER_COLUMNS ") VALUES (?, ?, ?, ?)",
                ARGS(TEXT(row->name), TEXT(role_name(row->role)), TEXT(row->password),
                     INT(row->created_ms)));
    return r < 0 ? r : 0;
}

int users_set_password(struct db *db, const char *name, const char *password_hash)
{
    int r = sql_one(db, "UPDATE users SET password = ? WHERE name = ?",
                    ARGS(TEXT(password_hash), TEXT(name)));
    if (r == 0)
        r = sql_run(db, "DELETE FROM sessions WHERE user = ?", ARGS(TEXT(name)));
    return r < 0 ? r : 0;
}

/* Would there be an admin without this one? */
static int check_other_admin(struct db *db, const char *name)
{
    int64_t others = 0;
    struct user_row row;
    int r = users_get(db, name, &row);
    if (r < 0)
        return r;
    secret_wipe(row.password, sizeof row.password);
    if (row.role != ROLE_ADMIN)
        return 0;
    r = sql_get_int(db, "SELECT COUNT(*) FROM users WHERE role = ? AND name <> ?",
                    ARGS(TEXT(role_name(ROLE_ADMIN)), TEXT(name)), &others);
    if (r < 0)
        return r;
    return others > 0 ? 0 : ERR_INVALID;
}

int users_set_role(struct db *db, const char *name, enum role role)
{
    int r = role == ROLE_ADMIN ? 0 : check_other_admin(db, name);
    if (r < 0)
        return r;
    return sql_one(db, "UPDATE users SET role = ? WHERE name = ?",
                   ARGS(TEXT(role_name(role)), TEXT(name)));
}

int users_remove(struct db *db, const char *name)
{
    int r = check_other_admin(db, name);
    if (r == 0)
        r = sql_run(db, "DELETE FROM api_tokens WHERE owner = ?", ARGS(TEXT(name)));
    if (r < 0)
        return r;
    /* Its sessions go with it. */
    return sql_one(db, "DELETE FROM users WHERE name = ?", ARGS(TEXT(name)));
}

/* ---- API tokens ------------------------------------------------------------------------------ */

void api_token_list_clear(struct api_token_list *l)
{
    free(l->rows);
    *l = (struct api_token_list){0};
}

static void read_token(struct query *q, struct api_token_row *ret_row)
{
    sql_text(q, ret_row->id, sizeof ret_row->id);
    sql_text(q, ret_row->name, sizeof ret_row->name);
    sql_text(q, ret_row->owner, sizeof ret_row->owner);
    ret_row->role = read_role(q);
    sql_hash(q, ret_row->secret_sha256);
    ret_row->created_ms = sql_int(q);
    ret_row->expires_ms = sql_int(q);
    ret_row->used_ms = sql_int(q);
}

int api_tokens_list(struct db *db, struct api_token_list *ret_list)
{
    struct api_token_list list = {0};
    AUTOQUERY struct query q = {0};
    int r = sql_query(&q, db, "SELECT " TOKEN_COLUMNS " FROM api_tokens ORDER BY created_ms, id",
                      NO_ARGS);
    while (r >= 0 && (r = sql_next(&q)) == 1)
        read_token(&q, ROWS_ADD(&list));
    if (r < 0)
        api_token_list_clear(&list);
    else
        *ret_list = list;
    return r;
}

int api_tokens_add(struct db *db, const struct api_token_row *row)
{
    int r = check_room(db, "SELECT COUNT(*) FROM api_tokens", LIMIT_TOKENS);
    if (r < 0)
        return r;
    r = sql_run(db, "INSERT INTO api_tokens (" TOKEN_COLUMNS ") VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                ARGS(TEXT(row->id), TEXT(row->name), TEXT(row->owner), TEXT(role_name(row->role)),
                     HASH(row->secret_sha256), INT(row->created_ms), INT(row->expires_ms),
                     INT(row->used_ms)));
    return r < 0 ? r : 0;
}

int api_tokens_get(struct db *db, const char *id, struct api_token_row *ret_row)
{
    AUTOQUERY struct query q = {0};
    int r = sql_query_one(&q, db, "SELECT " TOKEN_COLUMNS " FROM api_tokens WHERE id = ?",
                          ARGS(TEXT(id)));
    if (r < 0)
        return r;
    read_token(&q, ret_row);
    return 0;
}

int api_tokens_used(struct db *db, const char *id, int64_t now_ms)
{
    int r = sql_run(db, "UPDATE api_tokens SET used_ms = ? WHERE id = ? AND used_ms <= ?",
                    ARGS(INT(now_ms), TEXT(id), INT(now_ms - USED_STEP_MS)));
    return r < 0 ? r : 0;
}

int api_tokens_remove(struct db *db, const char *id)
{
    return sql_one(db, "DELETE FROM api_tokens WHERE id = ?", ARGS(TEXT(id)));
}
