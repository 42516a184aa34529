#include "remote/first_run.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"
#include "lib/secure/hash.h"
#include "remote/store/accounts.h"
#include "remote/store/db.h"

#define FILE_NAME "admin-password"
#define ADMIN "admin"

enum { FILE_MODE = 0600 };

static int write_password(const char *path, const char *password)
{
    AUTOFREE char *line = xasprintf("%s\n", password);
    int r = path_write_atomic(path, line, strlen(line), FILE_MODE);
    secret_wipe(line, strlen(line));
    return r;
}

static int add_admin(struct db *db, const char *password, int64_t now_ms)
{
    struct user_row row = {.name = ADMIN, .role = ROLE_ADMIN, .created_ms = now_ms};
    AUTOFREE char *hash = password_hash(password);
    if (!hash || strlen(hash) >= sizeof row.password)
        return ERR_FAILED;
    memcpy(row.password, hash, strlen(hash) + 1);
    int r = db_begin(db);
    if (r == 0)
        r = users_add(db, &row);
    if (r == 0)
        return db_commit(db);
    db_rollback(db);
    return r;
}

/* The file first: an account whose password nobody knows would be of no use. */
static int make_admin(struct db *db, const char *path, int64_t now_ms)
{
    char password[SECRET_TEXT];
    secret_make(password);
    int r = write_password(path, password);
    if (r == 0)
        r = add_admin(db, password, now_ms);
    secret_wipe(password, sizeof password);
    return r;
}

int first_run(struct db *db, int64_t now_ms, char **ret_file)
{
    AUTOFREE char *path = path_join(db_dir(db), FILE_NAME);
    struct user_list users = {0};
    int r = users_list(db, &users);
    if (r == 0 && users.count == 0)
        r = make_admin(db, path, now_ms);
    user_list_clear(&users);
    if (r < 0) {
        log_err(r, "cannot make the first account in %s", db_dir(db));
        return r;
    }
    *ret_file = access(path, F_OK) == 0 ? TAKE(path) : NULL;
    return 0;
}

void first_run_forget(const char *data_dir, const char *user)
{
    AUTOFREE char *path = path_join(data_dir, FILE_NAME);
    if (str_eq(user, ADMIN) && unlink(path) < 0 && errno != ENOENT)
        log_warn(-errno, "cannot remove %s, which has no use any more", path);
}
