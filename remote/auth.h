/* auth.h -- who is asking: sessions (cookies) and API tokens (bearer), and what slows down those who guess. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remote/store/accounts.h"

struct auth;
struct store;
typedef struct uv_loop_s uv_loop_t;

/* Where a session's secret and its CSRF value travel. */
#define AUTH_COOKIE                                                                                \
    "__Host-proctor_session" /* the prefix: browsers take it from this host alone, with Secure and Path=/ */
#define AUTH_CSRF_HEADER "x-csrf-token"

enum { AUTH_NAME = 2 * LIMIT_NAME, AUTH_CSRF = 65, AUTH_SESSION_MS = 12 * 60 * 60 * 1000 };

struct auth_who {
    char name
        [AUTH_NAME]; /* for records and the audit log: "user ann", "token 0123456789abcdef (ci)" */
    char user[USER_NAME]; /* "" for a token */
    char owner
        [USER_NAME]; /* whose rights these are: the user, or who made the token; "": of a token of the command line */
    enum role role;
    bool by_session;      /* then changing requests need the CSRF value and our own Origin */
    char csrf[AUTH_CSRF]; /* of the session: HMAC-SHA-256 of "csrf" with its secret, in hex */
    uint8_t session_sha256[SHA256_BYTES];
};

/* `r`: 0 with `who` (borrowed), ERR_LOGIN (nobody, or not any more), ERR_TOO_MANY (a wrong token, and too many of them from this
 * address; a right one always counts), or an error of the store. */
typedef void (*auth_cb)(void *arg, int r, const struct auth_who *who);

struct auth *auth_new(uv_loop_t *loop, struct store *store);

/* Before store_close(): no operation asks the store for anything from now on.  What is noted here later, by a call that ends with the
 * store, may have a NULL for it.  What is under way still calls its `done` (ERR_STOPPING),
 * with the loop running on, and then it is freed. */
void auth_free(struct auth *a);

/* Looks at the headers (NULL: absent); `done` comes later, from the loop, exactly once. */
void auth_check(struct auth *a, const char *cookie, const char *authorization, const char *address,
                auth_cb done, void *arg);

/* After ERR_TOO_MANY: how long wrong tokens from there are not looked at. */
int64_t auth_token_wait_ms(struct auth *a, const char *address);

/* A login: scrypt in a thread, at most two at the same time, the same work for names that do not exist.  After 5 failures for an
 * account from one address, 20 from an address, or 100 for an account from everywhere (one is forgotten each 30 s), each next try must
 * wait twice as long (from 1 s, up to 5 minutes): ERR_TOO_MANY with `retry_ms`.
 * Success: 0, the session is stored, and `cookie` is the value for Set-Cookie. */
typedef void (*auth_login_cb)(void *arg, int r, int64_t retry_ms, const char *cookie,
                              const struct auth_who *who);
void auth_login(struct auth *a, const char *name, const char *password, const char *address,
                auth_login_cb done, void *arg);

/* ---- passwords ------------------------------------------------------------------------------- */

enum { PASSWORD_MIN = 10 };

/* The user's own change: `old_password` is held against the account like a login's (ERR_TOO_MANY with `retry_ms`); ERR_DENIED: it is
 * wrong.  All other sessions of the user end. */
typedef void (*auth_change_cb)(void *arg, int r, int64_t retry_ms);
void auth_change_password(struct auth *a, const struct auth_who *who, const char *old_password,
                          const char *new_password, const char *address, auth_change_cb done,
                          void *arg);

/* A hash for somebody's new password, made in a thread: `hash` borrowed.  ERR_TOO_MANY is returned when too many wait; then `done` is
 * not called. */
typedef void (*auth_hash_cb)(void *arg, int r, const char *hash);
int auth_hash(struct auth *a, const char *password, auth_hash_cb done, void *arg);

/* ---- enrolment secrets: who guesses waits --------------------------------------------------- */

int64_t auth_enrol_wait_ms(struct auth *a, const char *address); /* 0: go on */
void auth_enrol_failed(struct auth *a, const char *address);

/* ---- refusals in the audit log ---------------------------------------------------------------- */

/* Somebody was refused: a row for the audit log, at most one per address, `what` ("request.refused") and minute, and a few hundred in a
 * minute altogether.  `who` NULL or "": not known.  Wrong tokens are noted by themselves, logins by auth_login(). */
void auth_refused(struct auth *a, const char *who, const char *address, const char *what,
                  const char *fmt, ...) __attribute__((format(printf, 5, 6)));
