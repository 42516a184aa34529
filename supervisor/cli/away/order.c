#include "supervisor/cli/away/order.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"
#include "supervisor/cli/away/api.h"
#include "supervisor/cli/away/patience.h"
#include "supervisor/cli/capture_job.h"
#include "supervisor/cli/capture_save.h"
#include "supervisor/cli/capture_watch.h"

enum {
    POLL_MS = 500,
    SLICE_MS = 100,
    /* Between a capture's end and its result in the console lies the way of the bytes. */
    RESULT_MS = 300000,
    /* What waits no longer is not worth a line. */
    WAITING_MS = 2000,
};

/* One capture of the order. */
struct followed {
    struct capture_job *job;
    struct watch_item *item;
    json_t *record; /* as told last; NULL: not yet */
    size_t phases_told;
    int64_t waiting_ms; /* monotonic, since it waits for its host; 0: it does not */
    bool waiting_told;
    int64_t ended_ms; /* when we heard of its end; 0: it has not ended */
};

struct course {
    const struct order *order;
    struct api *api;
    char id[UUID_TEXT]; /* of the order */
    struct followed *all;
    struct capture_watch watch;
    struct patience patience;
};

/* The steps, in the order in which they run. */
static int send_order(struct course *c);
static int follow(struct course *c);
static void finish(struct course *c, int r);

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* ---- waiting --------------------------------------------------------------------------------- */

/* Until it is time to ask again, or a key was pressed. */
static void rest(const struct course *c)
{
    const struct timespec slice = {.tv_nsec = SLICE_MS * 1000000L};
    for (int ms = 0; ms < POLL_MS; ms += SLICE_MS) {
        capture_watch_draw(&c->watch);
        if (nanosleep(&slice, NULL) < 0)
            return;
    }
}

/* After a request without an answer: 0 when it is time to send it again. */
static int be_patient(struct course *c)
{
    switch (patience_lost(&c->patience, now_ms())) {
    case PATIENCE_TELL:
        capture_watch_note(&c->watch, "%s; what runs goes on, trying again", c->api->text);
        break;
    case PATIENCE_TRY:
        break;
    case PATIENCE_OVER:
        (void)snprintf(c->api->text, sizeof c->api->text, "no answer from the console for %d s",
                       PATIENCE_MS / 1000);
        return ERR_UNREACHABLE;
    }
    rest(c);
    return capture_watch_leaving(&c->watch) ? ERR_CANCELLED : 0;
}

static void answered(struct course *c)
{
    if (patience_answered(&c->patience))
        capture_watch_note(&c->watch, "the console is back");
}

static bool is_over(void *arg)
{
    return capture_watch_leaving(arg);
}

/* ---- records ------------------------------------------------------------------------------- */

static struct followed *find(struct course *c, const json_t *record)
{
    for (size_t i = 0; i < c->order->count; i++) {
        const json_t *target = c->all[i].job->params;
        if (str_eq(json_get_string(target, "host", NULL), json_get_string(record, "host", "")) &&
            str_eq(json_get_string(target, "app", NULL), json_get_string(record, "app", "")) &&
            json_get_int(target, "instance", 0) == json_get_int(record, "instance", -1))
            return &c->all[i];
    }
    return NULL;
}

static void tell_phases(struct course *c, struct followed *f)
{
    const json_t *phases = json_object_get(f->record, "phases");
    for (; f->phases_told < json_array_size(phases); f->phases_told++) {
        const json_t *phase = json_array_get(phases, f->phases_told);
        capture_watch_phase(&c->watch, f->item, json_get_string(phase, "phase", "?"));
    }
}

static void tell_waiting(struct course *c, struct followed *f)
{
    const char *waiting = json_get_string(f->record, "waiting", NULL);
    if (!waiting || f->waiting_ms == 0)
        f->waiting_ms = waiting ? now_ms() : 0;
    if (!waiting || f->waiting_told || now_ms() - f->waiting_ms < WAITING_MS)
        return;
    capture_watch_note(&c->watch, "%s: %s", f->job->label, waiting);
    f->waiting_told = true;
}

static bool has_result(const json_t *record)
{
    const char *state = json_get_string(record, "state", "");
    return str_eq(state, "done") || str_eq(state, "partial");
}

static bool has_ended(const json_t *record)
{
    const char *state = json_get_string(record, "state", "");
    return !str_eq(state, "queued") && !str_eq(state, "running");
}

static void take_record(struct course *c, struct followed *f, json_t *record)
{
    json_decref(f->record);
    f->record = json_incref(record);
    tell_phases(c, f);
    tell_waiting(c, f);
    if (!has_ended(record)) {
        f->ended_ms = 0;
        return;
    }
    if (f->ended_ms == 0)
        f->ended_ms = now_ms();
    bool result_is_due = has_result(record) && !json_get_string(record, "profile", NULL);
    f->item->ended = !result_is_due || now_ms() - f->ended_ms >= RESULT_MS;
}

static void take_records(struct course *c, const json_t *answer)
{
    size_t i;
    json_t *record;
    json_array_foreach(json_object_get(answer, "captures"), i, record)
    {
        struct followed *f = find(c, record);
        if (f)
            take_record(c, f, record);
    }
}

/* ---- ordering -------------------------------------------------------------------------------- */

static json_t *order_body(const struct course *c)
{
    json_t *body = json_copy(c->order->request), *targets = json_array();
    json_set_string(body, "id", c->id);
    for (size_t i = 0; i < c->order->count; i++)
        (void)json_array_append(targets, c->order->jobs[i].params);
    (void)json_object_set_new(body, "targets", targets);
    return body;
}

/* The same id is the same order, so that it can be sent again when nobody knows whether it arrived. */
static int send_order(struct course *c)
{
    AUTOJSON json_t *body = order_body(c);
    for (;;) {
        AUTOJSON json_t *answer = NULL;
        int r = api_post(c->api, "captures", body, &answer);
        if (!c->api->lost) {
            answered(c);
            take_records(c, answer);
            return r;
        }
        r = be_patient(c);
        if (r < 0)
            return r;
    }
}

/* ---- following ------------------------------------------------------------------------------- */

static bool all_ended(const struct course *c)
{
    for (size_t i = 0; i < c->order->count; i++)
        if (!c->all[i].item->ended)
            return false;
    return true;
}

/* What could not be sent is sent at the next turn. */
static int obey(struct course *c)
{
    AUTOJSON json_t *answer = NULL;
    enum watch_order order = capture_watch_order(&c->watch);
    if (order == WATCH_GO_ON)
        return 0;
    if (order == WATCH_LEAVE)
        return ERR_CANCELLED;
    AUTOFREE char *path =
        xasprintf("captures/%s/%s", c->id, order == WATCH_STOP ? "stop" : "cancel");
    int r = api_post(c->api, path, NULL, &answer);
    if (c->api->lost)
        return be_patient(c);
    if (r < 0)
        capture_watch_note(&c->watch, "%s", c->api->text);
    capture_watch_obeyed(&c->watch);
    return 0;
}

/* 0: all have ended; 1: not yet; or why there is no use in asking on. */
static int look(struct course *c)
{
    AUTOJSON json_t *answer = NULL;
    AUTOFREE char *path = xasprintf("captures?order=%s", c->id);
    int r = api_get(c->api, path, &answer);
    if (c->api->lost)
        r = be_patient(c);
    if (r < 0 || !answer)
        return r < 0 ? r : 1;
    answered(c);
    take_records(c, answer);
    return all_ended(c) ? 0 : 1;
}

static int follow(struct course *c)
{
    int r;
    while ((r = look(c)) > 0) {
        rest(c);
        r = obey(c);
        if (r < 0)
            return r;
    }
    return r;
}

/* ---- results --------------------------------------------------------------------------------- */

/* The bytes that came are those that the host measured. */
static int check_size(struct api *api, const json_t *record, int fd)
{
    struct stat st;
    int64_t bytes = json_get_int(record, "bytes", -1);
    if (fstat(fd, &st) < 0)
        return -errno;
    if (bytes < 0 || st.st_size == bytes)
        return 0;
    (void)snprintf(api->text, sizeof api->text,
                   "the result came with %lld bytes, and %lld were announced",
                   (long long)st.st_size, (long long)bytes);
    return ERR_MISMATCH;
}

/* Into the new file `fd`, however often the connection breaks. */
static int fetch(struct api *api, const json_t *record, int fd)
{
    struct patience patience = {0};
    const struct timespec pause = {.tv_nsec = POLL_MS * 1000000L};
    for (;;) {
        int r = api_fetch_result(api, json_get_string(record, "profile", ""), fd);
        if (r == 0)
            return check_size(api, record, fd);
        if (!api->lost || patience_lost(&patience, now_ms()) == PATIENCE_OVER)
            return r;
        (void)nanosleep(&pause, NULL);
    }
}

/* It is not lost: the sentence says how to get at it. */
static void fail_later(const struct api *api, struct capture_job *job, const char *id, int r,
                       const char *why)
{
    AUTOFREE char *text =
        xasprintf("%s; 'proctor captures get %s%s' tells more later", why, id, api->more);
    capture_job_fail(job, r, text);
}

void order_take(struct api *api, json_t *record, const char *output, struct capture_job *job)
{
    const char *id = json_get_string(record, "id", "ID");
    if (!has_result(record)) {
        capture_job_take(job, json_incref(record), -1);
        return;
    }
    if (!json_get_string(record, "profile", NULL)) {
        fail_later(api, job, id, ERR_NOT_FOUND, "its result is not in the console");
        return;
    }
    AUTOCLOSE int fd = capture_save_room(output);
    api->text[0] = '\0';
    int r = fd < 0 ? fd : fetch(api, record, fd);
    if (r < 0)
        fail_later(api, job, id, r, api->text[0] ? api->text : err_str(r));
    else
        capture_job_take(job, json_incref(record), TAKE_FD(fd));
}

/* `r`: what follow() ended with. */
static void finish(struct course *c, int r)
{
    AUTOFREE char *why = xstrdup(r == ERR_CANCELLED ? "no longer waited for" : c->api->text);
    for (size_t i = 0; i < c->order->count; i++) {
        struct followed *f = &c->all[i];
        const char *id = json_get_string(f->record, "id", c->id);
        if (r == 0)
            order_take(c->api, f->record, c->order->output, f->job);
        else
            fail_later(c->api, f->job, id, r, why);
    }
}

/* ---- running --------------------------------------------------------------------------------- */

static int run(struct course *c)
{
    int r = send_order(c);
    if (r < 0)
        return r;
    r = follow(c);
    capture_watch_settled(&c->watch);
    finish(c, r);
    return 0;
}

int order_run(const struct order *order)
{
    struct course c = {.order = order, .api = order->api};
    AUTOFREE struct watch_item *items = xcalloc(order->count, sizeof *items);
    c.all = xcalloc(order->count, sizeof *c.all);
    for (size_t i = 0; i < order->count; i++) {
        items[i].label = order->jobs[i].label;
        c.all[i] = (struct followed){.job = &order->jobs[i], .item = &items[i]};
    }
    uuid_make(c.id);
    capture_watch_begin(&c.watch, items, order->count, order->duration_ms);
    https_on_wait(c.api->https, is_over, &c.watch);
    int r = run(&c);
    https_on_wait(c.api->https, NULL, NULL);
    capture_watch_end(&c.watch);
    for (size_t i = 0; i < order->count; i++)
        json_decref(c.all[i].record);
    free(c.all);
    return r;
}
