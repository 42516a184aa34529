#include "remote/auth.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/api_path.h"
#include "remote/auth_state.h"
#include "remote/refusals.h"

enum {
    FREE_PER_ACCOUNT = 5,
    FREE_PER_ADDRESS = 20,
    /* From everywhere: many who guess together are slowed down; one alone never comes so far, so that he cannot keep others out of
     * their accounts. */
    FREE_OF_ALL = 100,
    FADE_MS = 30 * 1000,
    /* Accounts and addresses with failures that are remembered: a search of so many takes microseconds. */
    REMEMBERED = 2000,
    TOKEN_USED_EVERY_MS = 60 * 1000,
};

struct auth *auth_new(uv_loop_t *loop, struct store *store)
{
    struct auth *a = xcalloc(1, sizeof *a);
    a->loop = loop;
    a->store = store;
    a->scrypts = scrypts_new(loop);
    a->accounts = login_limit_new(FREE_PER_ACCOUNT, REMEMBERED);
    a->brakes = login_limit_new(FREE_OF_ALL, REMEMBERED);
    login_limit_fade(a->brakes, FADE_MS);
    a->addresses = login_limit_new(FREE_PER_ADDRESS, REMEMBERED);
    a->tokens = login_limit_new(FREE_PER_ADDRESS, REMEMBERED);
    a->enrolments = login_limit_new(FREE_PER_ADDRESS, REMEMBERED);
    a->refusals = refusals_new();
    return a;
}

static void free_now(struct auth *a)
{
    login_limit_free(a->accounts);
    login_limit_free(a->brakes);
    login_limit_free(a->addresses);
    login_limit_free(a->tokens);
    login_limit_free(a->enrolments);
    refusals_free(a->refusals);
    free(a);
}

void auth_free(struct auth *a)
{
    if (!a)
        return;
    a->closing = true;
    scrypts_free(TAKE(a->scrypts));
    if (a->pending == 0)
        free_now(a);
}

void auth_begin(struct auth *a)
{
    a->pending++;
}

void auth_end(struct auth *a)
{
    if (--a->pending == 0 && a->closing)
        free_now(a);
}

/* ---- limits ---------------------------------------------------------------------------------- */

static int64_t now_ms(const struct auth *a)
{
    return (int64_t)uv_now(a->loop);
}

int64_t auth_try_begin(struct auth *a, struct auth_try *t, const char *account, const char *address)
{
    (void)snprintf(t->account, sizeof t->account, "%s", account);
    login_limit_address_key(address, t->address);
    (void)snprintf(t->pair, sizeof t->pair, "%.50s %.70s", t->address, account);
    int64_t pair_ms = login_limit_wait_ms(a->accounts, t->pair, now_ms(a));
    int64_t brake_ms = login_limit_wait_ms(a->brakes, t->account, now_ms(a));
    int64_t wait_ms = login_limit_wait_ms(a->addresses, t->address, now_ms(a));
    wait_ms = wait_ms > pair_ms ? wait_ms : pair_ms;
    wait_ms = wait_ms > brake_ms ? wait_ms : brake_ms;
    if (wait_ms > 0)
        return wait_ms;
    login_limit_failed(a->accounts, t->pair, now_ms(a));
    login_limit_failed(a->brakes, t->account, now_ms(a));
    login_limit_failed(a->addresses, t->address, now_ms(a));
    return 0;
}

void auth_try_passed(struct auth *a, const struct auth_try *t)
{
    /* Of the address and of the account elsewhere only this try: one's own account must not pay for guesses at others', nor
     * others' guesses. */
    login_limit_forget(a->accounts, t->pair);
    login_limit_take_back(a->brakes, t->account);
    login_limit_take_back(a->addresses, t->address);
}

void auth_try_undone(struct auth *a, const struct auth_try *t)
{
    login_limit_take_back(a->accounts, t->pair);
    login_limit_take_back(a->brakes, t->account);
    login_limit_take_back(a->addresses, t->address);
}

static int64_t address_wait_ms(struct auth *a, struct login_limit *l, const char *address)
{
    char key[LOGIN_LIMIT_KEY];
    login_limit_address_key(address, key);
    return login_limit_wait_ms(l, key, now_ms(a));
}

int64_t auth_enrol_wait_ms(struct auth *a, const char *address)
{
    return address_wait_ms(a, a->enrolments, address);
}

int64_t auth_token_wait_ms(struct auth *a, const char *address)
{
    return address_wait_ms(a, a->tokens, address);
}

void auth_enrol_failed(struct auth *a, const char *address)
{
    char key[LOGIN_LIMIT_KEY];
    if (!a)
        return;
    login_limit_address_key(address, key);
    login_limit_failed(a->enrolments, key, now_ms(a));
}

struct audit_row audit_row_now(const char *who, const char *address, const char *what)
{
    struct audit_row row = {.at_ms = loop_wall_ms()};
    (void)snprintf(row.who, sizeof row.who, "%s", who);
    (void)snprintf(row.address, sizeof row.address, "%s", address);
    (void)snprintf(row.what, sizeof row.what, "%s", what);
    return row;
}

/* ---- refusals -------------------------------------------------------------------------------- */

static int write_refusal(struct db *db, void *arg)
{
    return audit_add(db, arg);
}

static void on_refusal_written(void *arg, int result)
{
    const struct audit_row *row = arg;
    if (result < 0)
        log_warn(result, "cannot note in the audit log that %s was refused (%s), ignoring",
                 row->address, row->what);
    free(arg);
}

void auth_refused(struct auth *a, const char *who, const char *address, const char *what,
                  const char *fmt, ...)
{
    char key[LOGIN_LIMIT_KEY];
    va_list ap;
    login_limit_address_key(address, key);
    if (!a || a->closing || !refusals_first(a->refusals, key, what, now_ms(a)))
        return;
    struct audit_row *row = xcalloc(1, sizeof *row);
    *row = audit_row_now(who && who[0] ? who : "somebody", address, what);
    va_start(ap, fmt);
    (void)vsnprintf(row->text, sizeof row->text, fmt, ap);
    va_end(ap);
    store_write(a->store, write_refusal, on_refusal_written, row);
}

/* ---- who asks -------------------------------------------------------------------------------- */

struct check {
    struct auth *auth;
    enum { BY_NOTHING, BY_SESSION, BY_TOKEN } by;
    uint8_t secret_sha256[SHA256_BYTES];
    char token_id[TOKEN_ID];
    char address[LOGIN_LIMIT_KEY]; /* its key */
    char client[64];
    struct auth_who who;
    bool guessed;  /* a token that there is not, or with a wrong secret */
    bool note_use; /* the token's time of use is older than a minute */
    int64_t now_ms;
    auth_cb done;
    void *arg;
};

/* The steps. */
static void read_headers(struct check *c, const char *cookie, const char *authorization);
static int look_up(struct db *db, void *arg);
static void on_looked_up(void *arg, int result);
static void note_use(struct check *c);

void auth_check(struct auth *a, const char *cookie, const char *authorization, const char *address,
                auth_cb done, void *arg)
{
    struct check *c = xcalloc(1, sizeof *c);
    c->auth = a;
    c->done = done;
    c->arg = arg;
    c->now_ms = loop_wall_ms();
    login_limit_address_key(address, c->address);
    (void)snprintf(c->client, sizeof c->client, "%s", address);
    auth_begin(a);
    read_headers(c, cookie, authorization);
    store_read(a->store, look_up, on_looked_up, c);
}

static void sha256_text(const char *text, uint8_t ret_hash[static SHA256_BYTES])
{
    sha256(text, strlen(text), ret_hash);
}

static bool secret_shaped(const char *text)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    return strlen(text) == SECRET_TEXT - 1 && strspn(text, allowed) == SECRET_TEXT - 1;
}

static void read_session(struct check *c, const char *secret)
{
    uint8_t mac[SHA256_BYTES];
    if (!secret_shaped(secret))
        return;
    sha256_text(secret, c->secret_sha256);
    memcpy(c->who.session_sha256, c->secret_sha256, SHA256_BYTES);
    hmac_sha256(secret, strlen(secret), "csrf", 4, mac);
    sha256_to_hex(mac, c->who.csrf);
    secret_wipe(mac, sizeof mac);
    c->who.by_session = true;
    c->by = BY_SESSION;
}

static void read_bearer(struct check *c, const char *authorization)
{
    static const char scheme[] = "bearer ";
    char text[100];
    struct api_token token;
    if (strncasecmp(authorization, scheme, sizeof scheme - 1) != 0)
        return;
    authorization += sizeof scheme - 1;
    c->guessed = true;
    if (api_token_parse(authorization, strlen(authorization), &token, text, sizeof text) < 0)
        return;
    sha256_text(token.secret, c->secret_sha256);
    memcpy(c->token_id, token.id, sizeof c->token_id);
    secret_wipe(&token, sizeof token);
    c->by = BY_TOKEN;
}

/* A token counts alone: a request that carries one is not a page's. */
static void read_headers(struct check *c, const char *cookie, const char *authorization)
{
    if (authorization) {
        read_bearer(c, authorization);
        return;
    }
    char *secret = cookie ? api_cookie(cookie, AUTH_COOKIE) : NULL;
    if (!secret)
        return;
    read_session(c, secret);
    secret_wipe(secret, strlen(secret));
    free(secret);
}

static int look_up_session(struct db *db, struct check *c)
{
    struct session_row row;
    int r = sessions_get(db, c->secret_sha256, c->now_ms, &row);
    if (r == ERR_NOT_FOUND || r == ERR_EXPIRED)
        return ERR_LOGIN;
    if (r < 0)
        return r;
    struct auth_who *who = &c->who;
    (void)snprintf(who->name, sizeof who->name, "user %s", row.user);
    (void)snprintf(who->user, sizeof who->user, "%s", row.user);
    (void)snprintf(who->owner, sizeof who->owner, "%s", row.user);
    who->role = row.role;
    return 0;
}

/* A token may do no more than who made it may do now. */
static int cap_role(struct db *db, struct auth_who *who)
{
    struct user_row owner;
    if (!who->owner[0])
        return 0;
    int r = users_get(db, who->owner, &owner);
    if (r == ERR_NOT_FOUND)
        return ERR_LOGIN;
    if (r < 0)
        return r;
    if (owner.role < who->role)
        who->role = owner.role;
    secret_wipe(&owner, sizeof owner);
    return 0;
}

static int look_up_token(struct db *db, struct check *c)
{
    struct api_token_row row = {0};
    int r = api_tokens_get(db, c->token_id, &row);
    if (r < 0 && r != ERR_NOT_FOUND)
        return r;
    bool same = secret_equal(row.secret_sha256, SHA256_BYTES, c->secret_sha256, SHA256_BYTES);
    if (r < 0 || !same)
        return ERR_LOGIN;
    c->guessed = false;
    if (row.expires_ms != 0 && row.expires_ms <= c->now_ms)
        return ERR_LOGIN;
    struct auth_who *who = &c->who;
    (void)snprintf(who->name, sizeof who->name, "token %s (%s)", row.id, row.name);
    (void)snprintf(who->owner, sizeof who->owner, "%s", row.owner);
    who->role = row.role;
    c->note_use = c->now_ms - row.used_ms >= TOKEN_USED_EVERY_MS;
    return cap_role(db, who);
}

static int look_up(struct db *db, void *arg)
{
    struct check *c = arg;
    switch (c->by) {
    case BY_NOTHING:
        return ERR_LOGIN;
    case BY_SESSION:
        return look_up_session(db, c);
    case BY_TOKEN:
        return look_up_token(db, c);
    }
    return ERR_LOGIN;
}

/* Who has no right one is slowed down; who shares his address is not. */
static int wrong_token(struct check *c)
{
    struct auth *a = c->auth;
    if (login_limit_wait_ms(a->tokens, c->address, now_ms(a)) > 0)
        return ERR_TOO_MANY;
    login_limit_failed(a->tokens, c->address, now_ms(a));
    auth_refused(a, NULL, c->client, "token.refused", "wrong token");
    return ERR_LOGIN;
}

static void on_looked_up(void *arg, int result)
{
    struct check *c = arg;
    struct auth *a = c->auth;
    if (result == ERR_LOGIN && c->guessed)
        result = wrong_token(c);
    if (result == 0 && c->note_use && !a->closing)
        note_use(c);
    c->done(c->arg, result, result == 0 ? &c->who : NULL);
    secret_wipe(c, sizeof *c);
    free(c);
    auth_end(a);
}

/* ---- when a token was used ------------------------------------------------------------------- */

struct use {
    char id[TOKEN_ID];
    int64_t now_ms;
};

/* Looks again: requests at the same time need one row written. */
static int write_use(struct db *db, void *arg)
{
    const struct use *u = arg;
    struct api_token_row row;
    int r = api_tokens_get(db, u->id, &row);
    if (r < 0 || u->now_ms - row.used_ms < TOKEN_USED_EVERY_MS)
        return r;
    return api_tokens_used(db, u->id, u->now_ms);
}

static void on_use_written(void *arg, int result)
{
    if (result < 0 && result != ERR_NOT_FOUND)
        log_warn(result, "cannot note that a token was used, ignoring");
    free(arg);
}

static void note_use(struct check *c)
{
    struct use *u = xcalloc(1, sizeof *u);
    memcpy(u->id, c->token_id, sizeof u->id);
    u->now_ms = c->now_ms;
    store_write(c->auth->store, write_use, on_use_written, u);
}
