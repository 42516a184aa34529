/* link.remove: the console revokes this host, and the files go in any case. */
#include <assert.h>
#include <stdio.h>

#include "agent/link.h"
#include "agent/link_private.h"
#include "agent/uplink.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/wire/conn.h"
#include "lib/wire/msg.h"

/* For the console to be reached and to answer; and who may wait for it. */
enum { REVOKE_MS = 5000, REQUESTS_MAX = 16 };

/* The steps, in the order in which they run; between the first two the connection is opened, when it is not. */
static void tell_console(struct link *l);
static void on_deadline(uv_timer_t *timer);
static void forget(struct link *l);
static void on_thread(uv_work_t *work);
static void on_forgotten(uv_work_t *work, int status);
static void answer(struct link *l);

static bool waits(const struct link *l, const char *request)
{
    for (size_t i = 0; i < l->remove_requests.count; i++)
        if (str_eq(l->remove_requests.items[i], request))
            return true;
    return false;
}

static void warn(struct link *l, const char *text)
{
    if (!l->warning[0])
        (void)snprintf(l->warning, sizeof l->warning, "%s", text);
}

void link_remove(struct link *l, const struct msg *m)
{
    if (l->set_request || l->remove_requests.count >= REQUESTS_MAX) {
        (void)conn_error(l->conn, m->id, ERR_BUSY,
                         l->set_request ? "this host is just being linked: try again in a moment"
                                        : "too many requests wait for this already",
                         NULL);
        return;
    }
    if (!waits(l, m->id))
        strlist_add(&l->remove_requests, m->id);
    if (l->removing)
        return;
    if (l->remove_unheard && !link_is_linked(l)) {
        answer(l);
        return;
    }
    l->removing = true;
    l->revoked = false;
    l->warning[0] = '\0';
    (void)uv_timer_start(&l->remove_deadline, on_deadline, REVOKE_MS, 0);
    /* What could not be read a moment ago may be readable now. */
    if (l->unloaded)
        (void)link_load(l);
    if (l->id.host) {
        tell_console(l);
        return;
    }
    warn(l, l->unloaded ? "the files of the link could not be used, so the console was not told: "
                          "revoke this host there"
                        : "this host was not linked");
    forget(l);
}

static void tell_console(struct link *l)
{
    if (l->state == LINK_CONNECTED) {
        link_remove_on_open(l);
    } else if (loop_wall_ms() < l->id.until_ms) {
        link_connect_now(l);
    } else {
        warn(l, "the console was not told: the certificate of this host has expired");
        forget(l);
    }
}

void link_remove_on_open(struct link *l)
{
    if (uplink_can(l->uplink, UPLINK_UNLINK))
        (void)uplink_send(l->uplink, "unlink", NULL);
    else
        uplink_close(l->uplink, ERR_CANCELLED, "this host was unlinked");
}

static void on_deadline(uv_timer_t *timer)
{
    struct link *l = timer->data;
    if (l->forgetting)
        return;
    warn(l, "the console could not be reached within 5 s: revoke this host there");
    uplink_close(l->uplink, ERR_CANCELLED, "this host was unlinked");
}

void link_remove_on_closed(struct link *l, int code, const char *text)
{
    char sentence[UPLINK_TEXT];
    l->revoked = code == ERR_REVOKED;
    (void)snprintf(sentence, sizeof sentence, "%.300s: revoke this host there", text);
    if (!l->revoked)
        warn(l, sentence);
    forget(l);
}

/* ---- the files ------------------------------------------------------------------------------- */

static void forget(struct link *l)
{
    /* Goes on in link_remove_on_idle(). */
    if (renewal_busy(&l->renewal) || l->forgetting)
        return;
    l->forgetting = true;
    l->remove_work.data = l;
    int r = uv_queue_work(l->loop, &l->remove_work, on_thread, on_forgotten);
    assert(r == 0);
}

void link_remove_on_idle(struct link *l)
{
    bool over = l->removing && !l->serving && (l->revoked || l->warning[0]);
    if (over && !l->ending)
        forget(l);
}

static void on_thread(uv_work_t *work)
{
    struct link *l = work->data;
    l->forgotten = identity_forget(l->home);
}

static void on_forgotten(uv_work_t *work, int status)
{
    struct link *l = work->data;
    l->forgetting = false;
    if (l->ending)
        return;
    (void)uv_timer_stop(&l->remove_deadline);
    renewal_forget(&l->renewal);
    if (l->forgotten == 0) {
        delivery_belong(l->delivery, NULL);
        l->unloaded = false;
    }
    identity_clear(&l->id);
    l->error = 0;
    l->removing = false;
    link_apply(l, LINK_EV_UNLINKED);
    answer(l);
}

static void answer(struct link *l)
{
    AUTOJSON json_t *result = json_object();
    json_set_bool(result, "revoked", l->revoked);
    if (!l->revoked)
        json_set_string(result, "warning", l->warning);
    if (l->forgotten < 0)
        log_err(l->forgotten, "the files in %s/agent cannot be removed", l->home);
    l->remove_unheard = l->remove_requests.count == 0 && l->forgotten == 0;
    for (size_t i = 0; i < l->remove_requests.count; i++)
        if (l->forgotten < 0)
            (void)conn_error(l->conn, l->remove_requests.items[i], l->forgotten,
                             "the files of this host's link cannot be removed: see proctor.log",
                             NULL);
        else
            (void)conn_result(l->conn, l->remove_requests.items[i], result, -1);
    strlist_clear(&l->remove_requests);
}
