/* auth_password.c -- a user's own change of password, and hashes for users that are made. */
#include "remote/auth.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/auth_state.h"

enum { RETRY_FULL_MS = 1000 };

struct change {
    struct auth *auth;
    struct auth_try try;
    struct auth_who who;
    char *old_password;
    char *new_password;
    struct user_row user; /* as it was when the old password was looked at */
    char hash[PASSWORD_HASH];
    struct audit_row audit;
    int64_t retry_ms;
    auth_change_cb done;
    void *arg;
};

/* The steps, in the order in which they run. */
static int find_user(struct db *db, void *arg);
static void on_found(void *arg, int result);
static void on_verified(void *arg, int r, const char *hash);
static void on_hashed(void *arg, int r, const char *hash);
static int write_password(struct db *db, void *arg);
static void on_written(void *arg, int result);
static void change_end(struct change *c, int result);

void auth_change_password(struct auth *a, const struct auth_who *who, const char *old_password,
                          const char *new_password, const char *address, auth_change_cb done,
                          void *arg)
{
    struct change *c = xcalloc(1, sizeof *c);
    c->auth = a;
    c->who = *who;
    c->old_password = xstrdup(old_password);
    c->new_password = xstrdup(new_password);
    c->audit = audit_row_now(who->name, address, "user.password");
    (void)snprintf(c->audit.text, sizeof c->audit.text, "%s: own password; all other sessions end",
                   who->user);
    c->done = done;
    c->arg = arg;
    auth_begin(a);
    c->retry_ms = auth_try_begin(a, &c->try, who->user, address);
    store_read(a->store, find_user, on_found, c);
}

static int find_user(struct db *db, void *arg)
{
    struct change *c = arg;
    return c->retry_ms > 0 ? ERR_TOO_MANY : users_get(db, c->who.user, &c->user);
}

/* Nothing was learned about the password. */
static void give_up(struct change *c, int result)
{
    auth_try_undone(c->auth, &c->try);
    if (result == ERR_TOO_MANY)
        c->retry_ms = RETRY_FULL_MS;
    change_end(c, result);
}

static void on_found(void *arg, int result)
{
    struct change *c = arg;
    if (c->retry_ms > 0) {
        change_end(c, result);
        return;
    }
    int r = result == ERR_NOT_FOUND ? ERR_LOGIN : c->auth->closing ? ERR_STOPPING : result;
    if (r == 0)
        r = scrypts_verify(c->auth->scrypts, c->user.password, c->old_password, on_verified, c);
    if (r < 0)
        give_up(c, r);
}

static void on_verified(void *arg, int r, const char *hash)
{
    struct change *c = arg;
    if (r == ERR_INVALID) {
        change_end(c, ERR_DENIED);
        return;
    }
    if (r == 0)
        r = c->auth->closing ? ERR_STOPPING
                             : scrypts_hash(c->auth->scrypts, c->new_password, on_hashed, c);
    if (r < 0)
        give_up(c, r);
}

static void on_hashed(void *arg, int r, const char *hash)
{
    struct change *c = arg;
    if (r < 0 || c->auth->closing) {
        give_up(c, r < 0 ? r : ERR_STOPPING);
        return;
    }
    (void)snprintf(c->hash, sizeof c->hash, "%s", hash);
    store_write(c->auth->store, write_password, on_written, c);
}

/* Setting it ends all sessions; this one is put back. */
static int write_password(struct db *db, void *arg)
{
    struct change *c = arg;
    struct user_row now;
    struct session_row own;
    int r = users_get(db, c->who.user, &now);
    if (r < 0)
        return r == ERR_NOT_FOUND ? ERR_LOGIN : r;
    bool same = str_eq(now.password, c->user.password);
    secret_wipe(&now, sizeof now);
    if (!same)
        return ERR_BUSY;
    r = sessions_get(db, c->who.session_sha256, loop_wall_ms(), &own);
    if (r < 0)
        return r == ERR_NOT_FOUND || r == ERR_EXPIRED ? ERR_LOGIN : r;
    if ((r = users_set_password(db, c->who.user, c->hash)) < 0 || (r = sessions_add(db, &own)) < 0)
        return r;
    return audit_add(db, &c->audit);
}

static void on_written(void *arg, int result)
{
    struct change *c = arg;
    if (result < 0) {
        give_up(c, result);
        return;
    }
    auth_try_passed(c->auth, &c->try);
    change_end(c, 0);
}

static void free_wiped(char *text)
{
    secret_wipe(text, strlen(text));
    free(text);
}

static void change_end(struct change *c, int result)
{
    struct auth *a = c->auth;
    c->done(c->arg, result, c->retry_ms);
    free_wiped(c->old_password);
    free_wiped(c->new_password);
    secret_wipe(c, sizeof *c);
    free(c);
    auth_end(a);
}

/* ---- hashes ---------------------------------------------------------------------------------- */

struct hashing {
    struct auth *auth;
    auth_hash_cb done;
    void *arg;
};

static void on_hash(void *arg, int r, const char *hash)
{
    struct hashing *h = arg;
    struct auth *a = h->auth;
    int result = r == 0 && a->closing ? ERR_STOPPING : r;
    h->done(h->arg, result, result == 0 ? hash : NULL);
    free(h);
    auth_end(a);
}

int auth_hash(struct auth *a, const char *password, auth_hash_cb done, void *arg)
{
    if (a->closing)
        return ERR_STOPPING;
    struct hashing *h = xcalloc(1, sizeof *h);
    *h = (struct hashing){.auth = a, .done = done, .arg = arg};
    int r = scrypts_hash(a->scrypts, password, on_hash, h);
    if (r < 0) {
        free(h);
        return r;
    }
    auth_begin(a);
    return 0;
}
