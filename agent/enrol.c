#include "agent/enrol.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/enrol_answer.h"
#include "agent/enrol_https.h"
#include "agent/identity.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/secure/cert.h"
#include "lib/secure/token.h"

enum { CREATED = 201 };

struct enrol {
    uv_work_t work;
    atomic_bool cancelled;
    char *home;
    struct enrol_token token;
    struct identity id;
    int result;
    char text[IDENTITY_TEXT];
    enrol_cb done;
    void *arg;
};

/* The steps; all but the last in a thread. */
static void on_thread(uv_work_t *work);
static int make_request(struct enrol *e, char **ret_body);
static int ask(struct enrol *e, const char *body);
static int store(struct enrol *e);
static void on_done(uv_work_t *work, int status);

struct enrol *enrol_start(uv_loop_t *loop, const char *home, const struct enrol_token *token,
                          enrol_cb done, void *arg)
{
    struct enrol *e = xcalloc(1, sizeof *e);
    e->work.data = e;
    e->home = xstrdup(home);
    e->token = *token;
    e->done = done;
    e->arg = arg;
    int r = uv_queue_work(loop, &e->work, on_thread, on_done);
    assert(r == 0);
    return e;
}

void enrol_token_hash(const struct enrol_token *token, char ret_hash[static SHA256_TEXT])
{
    uint8_t hash[SHA256_BYTES];
    char *text = enrol_token_text(token);
    sha256(text, strlen(text), hash);
    sha256_to_hex(hash, ret_hash);
    secret_wipe(text, strlen(text));
    free(text);
}

void enrol_cancel(struct enrol *e)
{
    atomic_store(&e->cancelled, true);
}

static void on_thread(uv_work_t *work)
{
    struct enrol *e = work->data;
    char *body = NULL;
    e->result = make_request(e, &body);
    if (e->result == 0)
        e->result = ask(e, body);
    if (body)
        secret_wipe(body, strlen(body));
    free(body);
    if (e->result == 0)
        e->result = store(e);
}

/* The folder first: what cannot be stored should not use up a token. */
static int make_request(struct enrol *e, char **ret_body)
{
    char hostname[LIMIT_NAME + 1] = "";
    AUTOFREE char *csr = NULL;
    int r = identity_prepare(e->home);
    if (r < 0) {
        (void)snprintf(e->text, sizeof e->text, "the folder %s/agent cannot be used: %s", e->home,
                       err_str(r));
        return r;
    }
    (void)gethostname(hostname, sizeof hostname - 1);
    r = key_make(&e->id.key_pem);
    if (r == 0)
        r = csr_make(e->id.key_pem, "proctor-agent", &csr);
    if (r < 0) {
        (void)snprintf(e->text, sizeof e->text, "no key could be made: %s", err_str(r));
        return r;
    }
    AUTOJSON json_t *request = json_object();
    json_set_string(request, "secret", e->token.secret);
    json_set_string(request, "csr", csr);
    json_set_string(request, "hostname", hostname[0] ? hostname : "unknown");
    *ret_body = json_dumps(request, JSON_COMPACT);
    return *ret_body ? 0 : ERR_FAILED;
}

static int ask(struct enrol *e, const char *body)
{
    long status = 0;
    AUTOBUF struct buf answer = BUF_INIT(ENROL_ANSWER_MAX);
    int r = enrol_https_post(&e->token, body, strlen(body), &e->cancelled, &status, &answer,
                             e->text, sizeof e->text);
    if (r < 0)
        return r;
    if (status != CREATED)
        return enrol_answer_refusal(status, buf_str(&answer), answer.len, &e->token, e->text,
                                    sizeof e->text);
    return enrol_answer_read(buf_str(&answer), answer.len, &e->token, loop_wall_ms(), &e->id,
                             e->text, sizeof e->text);
}

static int store(struct enrol *e)
{
    char hash[SHA256_TEXT];
    enrol_token_hash(&e->token, hash);
    e->id.token = xstrdup(hash);
    int r = identity_save(e->home, &e->id);
    if (r < 0)
        (void)snprintf(e->text, sizeof e->text,
                       "the console granted a certificate, and it cannot be stored in %s/agent: %s;"
                       " a new token is needed",
                       e->home, err_str(r));
    return r;
}

static void on_done(uv_work_t *work, int status)
{
    struct enrol *e = work->data;
    if (status < 0) /* it was never begun */
        e->result = status;
    if (e->result < 0 && !e->text[0])
        (void)snprintf(e->text, sizeof e->text, "%s", err_str(e->result));
    e->done(e->arg, e->result, e->text, &e->id);
    identity_clear(&e->id);
    secret_wipe(&e->token, sizeof e->token);
    free(e->home);
    free(e);
}
