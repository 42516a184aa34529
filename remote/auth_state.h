/* auth_state.h -- what auth.c and auth_*.c share; nobody else's business. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "remote/auth.h"
#include "remote/login_limit.h"
#include "remote/scrypts.h"
#include "remote/store/store.h"

struct auth {
    uv_loop_t *loop;
    struct store *store;
    struct scrypts *scrypts;
    struct login_limit *accounts;  /* failures by address and user name */
    struct login_limit *brakes;    /* by user name, from wherever */
    struct login_limit *addresses; /* logins by address */
    struct login_limit *tokens;    /* wrong tokens by address */
    struct login_limit *enrolments;
    struct refusals *refusals; /* that were noted */
    unsigned pending;          /* operations under way: they keep it alive */
    bool closing;              /* the store is not to be asked any more */
};

/* An operation begins, or has called its `done`. */
void auth_begin(struct auth *a);
void auth_end(struct auth *a);

/* A try that costs something when it is wrong: of an account from an address. */
struct auth_try {
    char account[LOGIN_LIMIT_KEY]; /* its name */
    char pair[LOGIN_LIMIT_KEY];    /* the address and the name */
    char address[LOGIN_LIMIT_KEY];
};

/* Counts the try as failed until auth_try_passed() or auth_try_undone() (nothing was learned from it); returns 0, or how many
 * milliseconds it must wait: then it is not counted. */
int64_t auth_try_begin(struct auth *a, struct auth_try *t, const char *account,
                       const char *address);
void auth_try_passed(struct auth *a, const struct auth_try *t);
void auth_try_undone(struct auth *a, const struct auth_try *t);

/* A row for the audit log, of now. */
struct audit_row audit_row_now(const char *who, const char *address, const char *what);
