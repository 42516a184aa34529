/* captures.h (store) -- rows of captures that the console asked for. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/limits.h"
#include "lib/base/uuid.h"

struct db;

enum { CAPTURE_WORD = 33, CAPTURE_ROLE = 17 };

struct capture_row {
    char id[UUID_TEXT];
    char request[UUID_TEXT]; /* the API request that made it; of one target: the same as `id` */
    char host[UUID_TEXT];
    char host_name[LIMIT_NAME + 1]; /* filled in when read */
    char kind[CAPTURE_WORD];
    char app[LIMIT_NAME + 1];
    int64_t instance;
    int64_t pid;                    /* asked for; 0: the instance's own */
    int64_t duration_ms;            /* 0: until stopped */
    int64_t interval_us;            /* 0: the default */
    int64_t interval_bytes;         /* 0: the default */
    int64_t not_after_ms;           /* may start until */
    char requester[LIMIT_NAME + 1]; /* "user ann", "token 0123 (ci)" */
    char role[CAPTURE_ROLE];        /* the requester's */
    char state[CAPTURE_WORD];       /* queued, running, done, partial, failed, cancelled, expired */
    int64_t created_ms;
    int64_t sent_ms;  /* given to the host's agent; 0: not yet */
    int64_t due_ms;   /* must have ended by then; moved when the agent tells of its beginning */
    int64_t ended_ms; /* 0: it has not */
    bool stop_wanted;
    bool cancel_wanted;
    bool given_up; /* the end is the console's own verdict: the host's replaces it when it comes */
    bool result_owed; /* it has ended, and its result is still to come; not read, only written */
    bool was_stored;  /* its result came: nothing of it is owed, also when it was removed since */
    bool has_profile; /* its result is in the store, under the capture's id */
    /* RECORD of docs/PROTOCOL.md as JSON text, as the agent told it last; NULL: it has told nothing. */
    char *record;
};

struct capture_list {
    struct capture_row *rows;
    size_t count;
};
void capture_row_clear(struct capture_row *row);
void capture_list_clear(struct capture_list *l);

bool capture_state_ended(const char *state);

/* ERR_EXISTS when the id is there or the request has that process already, ERR_NOT_FOUND when the host is not, ERR_INVALID for an id that is no UUID of version 7. */
int captures_add(struct db *db, const struct capture_row *row);
/* Everything but id, request, host, requester, role, created_ms, and was_stored and has_profile (which profiles_add() and
 * profiles_remove() change).  ERR_NOT_FOUND. */
int captures_update(struct db *db, const struct capture_row *row);
int captures_get(struct db *db, const char *id, struct capture_row *ret_row); /* ERR_NOT_FOUND */

struct capture_filter {
    const char *host; /* each: NULL or 0: any */
    const char *app;
    const char *kind;
    const char *state;
    const char *request;
    bool open_only;     /* not ended, given up, or its result is owed */
    bool unended_only;  /* not ended */
    bool ended_only;    /* together with open_only: of those the ones that have ended */
    bool revoked_only;  /* of hosts that are revoked */
    const char *before; /* older than this capture's id */
    size_t limit;       /* 0: LIMIT_PAGE_ROWS; with unended_only no limit */
};
/* Newest first (by id, which is time-ordered). */
int captures_list(struct db *db, const struct capture_filter *filter,
                  struct capture_list *ret_list);
