/* link.set: a token becomes key, certificate and the first connection. */
#include <stdio.h>
#include <stdlib.h>

#include "agent/enrol.h"
#include "agent/link.h"
#include "agent/link_private.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/secure/hash.h"
#include "lib/secure/token.h"
#include "lib/wire/conn.h"
#include "lib/wire/msg.h"

/* The steps, in the order in which they run. */
static void on_enrolled(void *arg, int r, const char *text, struct identity *id);
static void on_deadline(uv_timer_t *timer);

/* Whoever asked has 15 s after the enrolment to see the first connection. */
enum { FIRST_CONNECTION_MS = 15000 };

/* A sentence, when this is no time for it; NULL: it is. */
static const char *obstacle(const struct link *l, int *ret_error)
{
    *ret_error = ERR_BUSY;
    if (l->set_request)
        return "this host is just being linked";
    if (l->removing)
        return "this host is just being unlinked: try again in a moment";
    *ret_error = ERR_EXISTS;
    if (l->unloaded)
        return "this host is linked already, with files in agent/ that cannot be used: unlink it "
               "first";
    return link_is_linked(l) ? "this host is linked already: unlink it first" : NULL;
}

/* This very token has linked this host, and whoever gave it has not heard: the agent ended before it could answer. */
static bool has_linked(const struct link *l, const struct enrol_token *token)
{
    char hash[SHA256_TEXT];
    enrol_token_hash(token, hash);
    return !l->set_request && !l->removing && l->id.host && str_eq(l->id.token, hash);
}

/* The same request once more, of somebody who has lost the supervisor that it came through. */
static bool take_over(struct link *l, const struct enrol_token *token, const char *request)
{
    char hash[SHA256_TEXT];
    enrol_token_hash(token, hash);
    if (!l->set_alone || !l->set_request || !str_eq(l->set_token, hash))
        return false;
    free(l->set_request);
    l->set_request = xstrdup(request);
    l->set_alone = false;
    return true;
}

static void tell_phase(struct link *l)
{
    /* It can take longer than the supervisor waits for a sign. */
    AUTOJSON json_t *progress = json_object();
    json_set_string(progress, "phase", "enrol");
    (void)conn_progress(l->conn, l->set_request, progress);
}

/* Answers as if it had been here all the time. */
static void attach(struct link *l, const struct msg *m)
{
    l->set_request = xstrdup(m->id);
    l->set_alone = false;
    if (l->state != LINK_CONNECTING) {
        link_set_tried(l);
        return;
    }
    (void)uv_timer_start(&l->set_deadline, on_deadline, FIRST_CONNECTION_MS, 0);
    link_connect_now(l);
}

void link_set(struct link *l, const struct msg *m)
{
    char text[IDENTITY_TEXT];
    int error;
    struct enrol_token token;
    const json_t *given = json_object_get(m->params, "token");
    /* The same request again. */
    if (str_eq(l->set_request, m->id))
        return;
    int r = enrol_token_parse(json_string_value(given), json_string_length(given), &token, text,
                              sizeof text);
    if (r == 0 && take_over(l, &token, m->id)) {
        secret_wipe(&token, sizeof token);
        tell_phase(l);
        return;
    }
    if (r == 0 && has_linked(l, &token)) {
        secret_wipe(&token, sizeof token);
        attach(l, m);
        return;
    }
    const char *why = obstacle(l, &error);
    if (why) {
        secret_wipe(&token, sizeof token);
        (void)conn_error(l->conn, m->id, error, why, NULL);
        return;
    }
    if (r < 0) {
        (void)conn_error(l->conn, m->id, r, text, NULL);
        return;
    }
    l->set_request = xstrdup(m->id);
    l->set_alone = false;
    enrol_token_hash(&token, l->set_token);
    tell_phase(l);
    log_info("enrolling at the console at %s", token.address);
    l->enrol = enrol_start(l->loop, l->home, &token, on_enrolled, l);
    secret_wipe(&token, sizeof token);
}

static void refuse(struct link *l, int r, const char *text)
{
    log_warn(0, "this host was not linked: %s", text);
    (void)conn_error(l->conn, l->set_request, r, text, NULL);
    free(l->set_request);
    l->set_request = NULL;
}

static void on_enrolled(void *arg, int r, const char *text, struct identity *id)
{
    struct link *l = arg;
    l->enrol = NULL;
    if (l->ending)
        return;
    if (r < 0) {
        refuse(l, r, text);
        return;
    }
    link_take_identity(l, id);
    (void)uv_timer_start(&l->set_deadline, on_deadline, FIRST_CONNECTION_MS, 0);
    link_apply(l, LINK_EV_LINKED);
}

void link_set_tried(struct link *l)
{
    if (!l->set_request || l->enrol)
        return;
    AUTOJSON json_t *status = link_status_json(l);
    (void)conn_result(l->conn, l->set_request, status, -1);
    (void)uv_timer_stop(&l->set_deadline);
    free(l->set_request);
    l->set_request = NULL;
}

static void on_deadline(uv_timer_t *timer)
{
    link_set_tried(timer->data);
}

void link_set_close(struct link *l)
{
    if (l->enrol)
        enrol_cancel(l->enrol);
}
