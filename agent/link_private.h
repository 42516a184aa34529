/* link_private.h -- what link.c, link_set.c and link_remove.c share. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "agent/backoff.h"
#include "agent/delivery.h"
#include "agent/identity.h"
#include "agent/link_state.h"
#include "agent/logs.h"
#include "agent/processes.h"
#include "agent/renewal.h"
#include "agent/uplink_session.h"
#include "lib/base/str.h"
#include "lib/secure/hash.h"

struct enrol;
struct uplink;

struct link {
    uv_loop_t *loop;
    char *home;
    struct conn *conn;
    struct captures *captures;
    struct delivery *delivery;
    struct identity id; /* empty: not linked, or not loaded */
    bool unloaded;      /* there are files, and they cannot be read or used: they are tried again */
    enum link_state state;
    int64_t since_ms; /* wall clock */
    int error;        /* why there is no connection; 0: there is one, or none was tried */
    char error_text[IDENTITY_TEXT];
    bool by_console; /* the console says so, in its bye */
    /* The reason that was logged last, which is not logged again; how often it came since. */
    char logged[IDENTITY_TEXT];
    unsigned again;
    bool ending;

    /* the connection */
    struct uplink *uplink;
    struct backoff backoff;
    uint64_t opened_at; /* on the loop's clock; 0: it is not open */
    uv_timer_t retry;
    int64_t retry_at_ms; /* wall clock; 0: nothing waits */

    /* what runs while it is open */
    bool serving;
    struct processes processes;
    struct logs logs;
    struct renewal renewal;

    /* link.set */
    struct enrol *enrol;
    char *set_request; /* that waits for enrolment, then for the first connection; NULL: none */
    char set_token[SHA256_TEXT]; /* its hash */
    bool set_alone;              /* who asked has gone, and may ask again */
    uv_timer_t set_deadline;

    /* link.remove */
    bool removing;
    bool remove_unheard; /* it has ended, and whoever asked had gone: told to the one who asks again */
    struct strlist remove_requests;
    uv_timer_t remove_deadline;
    uv_work_t remove_work;
    bool forgetting;
    bool revoked;
    char warning[UPLINK_TEXT];
    int forgotten; /* what removing the files returned */
};

/* Also with files that cannot be used. */
bool link_is_linked(const struct link *l);

/* Tries to load the files that could not be, and does what the table says; 0, or why not. */
int link_load(struct link *l);

/* `id` (what it holds is taken) is who we are now. */
void link_take_identity(struct link *l, struct identity *id);

/* Does what the table says. */
void link_apply(struct link *l, enum link_event event);

/* Connects now instead of later. */
void link_connect_now(struct link *l);

/* {"state", …}; the caller's. */
json_t *link_status_json(const struct link *l);

/* ---- link_set.c ---- */

/* The first connection was tried: answers whoever waits for that. */
void link_set_tried(struct link *l);
void link_set_close(struct link *l);

/* ---- link_remove.c ---- */

/* While the link is being removed: the connection is open, is over, and nothing is being written any more. */
void link_remove_on_open(struct link *l);
void link_remove_on_closed(struct link *l, int code, const char *text);
void link_remove_on_idle(struct link *l);
