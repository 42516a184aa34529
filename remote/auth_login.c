/* auth_login.c -- a login: limits, scrypt, the session's row. */
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

struct login {
    struct auth *auth;
    struct auth_try try;
    char *name;
    char *password;
    char address[64];
    bool known; /* there is such a user */
    struct user_row user;
    char secret[SECRET_TEXT];
    struct session_row session;
    struct audit_row audit;
    struct auth_who who;
    int result;
    int64_t retry_ms;
    auth_login_cb done;
    void *arg;
};

/* The steps, in the order in which they run. */
static int find_user(struct db *db, void *arg);
static void on_found(void *arg, int result);
static void on_verified(void *arg, int r, const char *hash);
static void pass(struct login *l);
static int write_session(struct db *db, void *arg);
static void on_passed(void *arg, int result);
static void refuse(struct login *l);
static int write_refusal(struct db *db, void *arg);
static void on_refused(void *arg, int result);
static void login_end(struct login *l, int result);

void auth_login(struct auth *a, const char *name, const char *password, const char *address,
                auth_login_cb done, void *arg)
{
    struct login *l = xcalloc(1, sizeof *l);
    l->auth = a;
    l->name = xstrdup(name);
    l->password = xstrdup(password);
    (void)snprintf(l->address, sizeof l->address, "%s", address);
    l->done = done;
    l->arg = arg;
    auth_begin(a);
    l->retry_ms = auth_try_begin(a, &l->try, name, address);
    store_read(a->store, find_user, on_found, l);
}

static int find_user(struct db *db, void *arg)
{
    struct login *l = arg;
    return l->retry_ms > 0 ? ERR_TOO_MANY : users_get(db, l->name, &l->user);
}

/* Gives up without having looked at the password. */
static void give_up(struct login *l, int result)
{
    auth_try_undone(l->auth, &l->try);
    if (result == ERR_TOO_MANY)
        l->retry_ms = RETRY_FULL_MS;
    login_end(l, result);
}

static void on_found(void *arg, int result)
{
    struct login *l = arg;
    if (l->retry_ms > 0) {
        login_end(l, result);
        return;
    }
    l->known = result == 0;
    if (result < 0 && result != ERR_NOT_FOUND) {
        give_up(l, result);
        return;
    }
    if (l->auth->closing) {
        give_up(l, ERR_STOPPING);
        return;
    }
    int r = scrypts_verify(l->auth->scrypts, l->known ? l->user.password : NULL, l->password,
                           on_verified, l);
    if (r < 0)
        give_up(l, r);
}

static void on_verified(void *arg, int r, const char *hash)
{
    struct login *l = arg;
    if (r == 0 && !l->auth->closing)
        pass(l);
    else if (r == ERR_INVALID && !l->auth->closing)
        refuse(l);
    else
        give_up(l, r < 0 ? r : ERR_STOPPING);
}

static void pass(struct login *l)
{
    int64_t now = loop_wall_ms();
    secret_make(l->secret);
    sha256(l->secret, strlen(l->secret), l->session.secret_sha256);
    (void)snprintf(l->session.user, sizeof l->session.user, "%s", l->user.name);
    l->session.created_ms = now;
    l->session.expires_ms = now + AUTH_SESSION_MS;
    (void)snprintf(l->who.name, sizeof l->who.name, "user %s", l->user.name);
    l->audit = audit_row_now(l->who.name, l->address, "login");
    store_write(l->auth->store, write_session, on_passed, l);
}

/* The password may have been changed since it was read. */
static int write_session(struct db *db, void *arg)
{
    struct login *l = arg;
    struct user_row now;
    int r = users_get(db, l->user.name, &now);
    if (r == ERR_NOT_FOUND)
        return ERR_LOGIN;
    if (r < 0)
        return r;
    bool same = str_eq(now.password, l->user.password);
    l->who.role = now.role;
    secret_wipe(&now, sizeof now);
    if (!same)
        return ERR_LOGIN;
    r = sessions_add(db, &l->session);
    return r < 0 ? r : audit_add(db, &l->audit);
}

static void fill_who(struct login *l)
{
    struct auth_who *who = &l->who;
    uint8_t mac[SHA256_BYTES];
    (void)snprintf(who->user, sizeof who->user, "%s", l->user.name);
    (void)snprintf(who->owner, sizeof who->owner, "%s", l->user.name);
    who->by_session = true;
    memcpy(who->session_sha256, l->session.secret_sha256, SHA256_BYTES);
    hmac_sha256(l->secret, strlen(l->secret), "csrf", 4, mac);
    sha256_to_hex(mac, who->csrf);
    secret_wipe(mac, sizeof mac);
}

static void on_passed(void *arg, int result)
{
    struct login *l = arg;
    if (result < 0) {
        give_up(l, result);
        return;
    }
    auth_try_passed(l->auth, &l->try);
    fill_who(l);
    login_end(l, 0);
}

/* A name that there is not stays out of the log: people type passwords into the wrong field. */
static void refuse(struct login *l)
{
    char who[AUTH_NAME] = "somebody";
    if (l->known)
        (void)snprintf(who, sizeof who, "user %s", l->user.name);
    l->audit = audit_row_now(who, l->address, "login.refused");
    (void)snprintf(l->audit.text, sizeof l->audit.text, "%s",
                   l->known ? "wrong password" : "unknown user");
    store_write(l->auth->store, write_refusal, on_refused, l);
}

static int write_refusal(struct db *db, void *arg)
{
    const struct login *l = arg;
    return audit_add(db, &l->audit);
}

static void on_refused(void *arg, int result)
{
    login_end(arg, ERR_LOGIN);
}

static void login_end(struct login *l, int result)
{
    struct auth *a = l->auth;
    char cookie[160] = "";
    if (result == 0)
        (void)snprintf(cookie, sizeof cookie,
                       "%s=%s; HttpOnly; Secure; SameSite=Strict; Path=/; Max-Age=%d", AUTH_COOKIE,
                       l->secret, AUTH_SESSION_MS / 1000);
    l->done(l->arg, result, l->retry_ms, result == 0 ? cookie : NULL, result == 0 ? &l->who : NULL);
    secret_wipe(cookie, sizeof cookie);
    secret_wipe(l->password, strlen(l->password));
    free(l->password);
    free(l->name);
    secret_wipe(l, sizeof *l);
    free(l);
    auth_end(a);
}
