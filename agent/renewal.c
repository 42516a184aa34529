#include "agent/renewal.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/secure/cert.h"
#include "lib/secure/hash.h"

enum {
    /* Clocks are set: the time is looked at as often. */
    LOOK_MS = 60000,
    RETRY_MS = 60000,
    RETRY_MIN_MS = 1000,
    GAP_MS = 60000,
};

/* Writes one renewed identity. */
struct renewal_job {
    uv_work_t work;
    struct renewal *owner; /* NULL: it has gone */
    char *home;
    struct identity fresh;
    int result;
};

/* The steps. */
static void on_timer(uv_timer_t *timer);
static int make_request(struct renewal *r);
static void store(struct renewal *r, struct identity *fresh);
static void on_thread(uv_work_t *work);
static void on_stored(uv_work_t *work, int status);

void renewal_init(struct renewal *r, uv_loop_t *loop, const char *home,
                  const struct renewal_callbacks *callbacks, void *arg)
{
    *r = (struct renewal){.home = xstrdup(home), .callbacks = callbacks, .arg = arg};
    (void)uv_timer_init(loop, &r->timer);
    r->timer.data = r;
}

int64_t renewal_retry_ms(int64_t now_ms, int64_t until_ms)
{
    int64_t tenth = (until_ms - now_ms) / 10;
    if (tenth > RETRY_MS)
        return RETRY_MS;
    return tenth < RETRY_MIN_MS ? RETRY_MIN_MS : tenth;
}

int64_t renewal_gap_ms(const struct identity *id)
{
    int64_t third = id->until_ms - identity_renew_ms(id);
    return third < GAP_MS ? third : GAP_MS;
}

/* How long until the next one may be asked for, whatever the wall clock says. */
static int64_t rest_ms(const struct renewal *r)
{
    if (!r->renewed_at)
        return 0;
    int64_t passed = (int64_t)(uv_now(r->timer.loop) - r->renewed_at);
    return renewal_gap_ms(r->id) - passed;
}

static void look_again(struct renewal *r, int64_t delay_ms)
{
    int64_t delay = delay_ms < LOOK_MS ? delay_ms : LOOK_MS;
    (void)uv_timer_start(&r->timer, on_timer, delay > 0 ? (uint64_t)delay : 0, 0);
}

void renewal_open(struct renewal *r, const struct identity *id)
{
    r->open = true;
    r->id = id;
    look_again(r, identity_renew_ms(id) - loop_wall_ms());
}

void renewal_close(struct renewal *r)
{
    r->open = false;
    r->id = NULL;
    (void)uv_timer_stop(&r->timer);
}

bool renewal_busy(const struct renewal *r)
{
    return r->job;
}

void renewal_forget(struct renewal *r)
{
    if (r->key_pem)
        secret_wipe(r->key_pem, strlen(r->key_pem));
    free(r->key_pem);
    free(r->csr_pem);
    r->key_pem = r->csr_pem = NULL;
}

void renewal_end(struct renewal *r)
{
    renewal_close(r);
    renewal_forget(r);
    if (r->job)
        r->job->owner = NULL;
    r->job = NULL;
    free(r->home);
    r->home = NULL;
    uv_close((uv_handle_t *)&r->timer, NULL);
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* The key is kept until a certificate for it has come, so that a late answer counts too. */
static int make_request(struct renewal *r)
{
    if (r->csr_pem)
        return 0;
    int e = key_make(&r->key_pem);
    if (e == 0)
        e = csr_make(r->key_pem, r->id->host, &r->csr_pem);
    if (e < 0)
        renewal_forget(r);
    return e;
}

static void on_timer(uv_timer_t *timer)
{
    struct renewal *r = timer->data;
    int64_t now = loop_wall_ms();
    int64_t due_ms = identity_renew_ms(r->id);
    int64_t wait_ms = due_ms - now > rest_ms(r) ? due_ms - now : rest_ms(r);
    if (wait_ms > 0) {
        look_again(r, wait_ms);
        return;
    }
    look_again(r, renewal_retry_ms(now, r->id->until_ms));
    if (r->job)
        return;
    int e = make_request(r);
    if (e < 0) {
        log_err(e, "no key for a new certificate could be made");
        return;
    }
    AUTOJSON json_t *fields = json_object();
    json_set_string(fields, "csr", r->csr_pem);
    log_info("asking the console for a new certificate");
    (void)r->callbacks->send(r->arg, "renew", fields);
}

/* ---- the answer ------------------------------------------------------------------------------ */

static void fill(struct identity *fresh, const struct renewal *r, const char *certificate)
{
    const struct identity *id = r->id;
    *fresh = (struct identity){.key_pem = xstrdup(r->key_pem),
                               .cert_pem = xstrdup(certificate),
                               .ca_pem = xstrdup(id->ca_pem),
                               .host = xstrdup(id->host),
                               .agents = xstrdup(id->agents),
                               .web = xstrdup(id->web),
                               .name = xstrdup(id->name),
                               .token = xstrdup_null(id->token),
                               .issued_ms = loop_wall_ms()};
}

void renewal_take(struct renewal *r, const char *certificate)
{
    char why[IDENTITY_TEXT];
    if (!r->open || !r->key_pem || r->job) {
        log_debug("a certificate that was not asked for, ignoring");
        return;
    }
    AUTOIDENTITY struct identity fresh = {0};
    fill(&fresh, r, certificate);
    int e = identity_check(&fresh, fresh.issued_ms, why, sizeof why);
    if (e < 0)
        log_warn(0, "the console's new certificate is of no use: %s", why);
    else
        store(r, &fresh);
}

/* Takes what `fresh` holds. */
static void store(struct renewal *r, struct identity *fresh)
{
    struct renewal_job *job = xcalloc(1, sizeof *job);
    job->work.data = job;
    job->owner = r;
    job->home = xstrdup(r->home);
    job->fresh = *fresh;
    *fresh = (struct identity){0};
    r->job = job;
    int e = uv_queue_work(r->timer.loop, &job->work, on_thread, on_stored);
    assert(e == 0);
}

static void on_thread(uv_work_t *work)
{
    struct renewal_job *job = work->data;
    job->result = identity_renew(job->home, &job->fresh);
}

static void on_stored(uv_work_t *work, int status)
{
    struct renewal_job *job = work->data;
    struct renewal *r = job->owner;
    int result = status < 0 ? status : job->result;
    if (result < 0)
        log_err(result, "the new certificate cannot be stored in %s/agent", job->home);
    if (r) {
        r->job = NULL;
        if (result == 0) {
            renewal_forget(r);
            r->renewed_at = uv_now(r->timer.loop);
        }
        r->callbacks->done(r->arg, result, &job->fresh);
    }
    identity_clear(&job->fresh);
    free(job->home);
    free(job);
}
