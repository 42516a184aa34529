#include "supervisor/captures.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/procfs.h"
#include "lib/base/uuid.h"
#include "supervisor/agent_link.h"
#include "supervisor/app.h"
#include "supervisor/capture_target.h"
#include "supervisor/inspector.h"
#include "supervisor/instance.h"
#include "supervisor/kept_json.h"
#include "supervisor/probe.h"
#include "supervisor/safe_mode.h"
#include "supervisor/supervisor.h"

enum {
    LET_GO_MS = 1800,       /* an exiting app is held for 2 s at most, with our own restart */
    PROBE_GRACE_MS = 25000, /* past its duration, a probe that has not ended by itself is killed */
    CLOSER_MS = 5000,
    CANCEL_MS = 6000,
    KEPT_MAX = 256, /* answers that no agent acknowledged; the oldest are dropped */
};

/* How far it is: noted before the step is done. */
enum capture_step {
    CAPTURE_OPENS,  /* the inspector is being opened */
    CAPTURE_PROBED, /* a probe runs, or is about to */
    CAPTURE_CHECKS, /* is the port closed? */
    CAPTURE_ENDED,
};

struct capture {
    struct list link;
    struct captures *owner;
    char id[UUID_TEXT];
    char *request_id; /* the agent's: where progress and answer go */
    json_t *params;
    struct instance *instance; /* NULL when the instance was freed */
    unsigned pm_id;            /* of the instance, also when that is gone */
    pid_t pid;
    int out_fd;
    enum capture_step step;
    struct probe *probe;
    json_t *probe_end; /* what it has said, until it is gone; NULL: nothing yet */
    char phase[16];
    bool local; /* somebody on this host has asked for it; else a console has */
    bool stop_wanted;
    bool cancel_wanted;
    bool holds;        /* the instance's stop waits for us */
    bool closing_only; /* the present probe only closes a port that another one left */
    json_t *answer;    /* set at the end; kept until acknowledged */
    bool ended;
};

/* The steps, in the order in which they run. */
static void on_opened(void *arg, int r, const char *text);
static void start_probe(struct capture *c, bool closing_only);
static json_t *begin_message(struct capture *c, bool closing_only);
static void run_probe(struct capture *c);
static void on_phase(void *arg, const char *phase);
static void on_probe_end(void *arg, const json_t *end);
static void on_probe_done(void *arg, const json_t *end, bool overdue);
static void on_closer_done(struct capture *c);
static void on_checked(void *arg, bool left_open);
static void release(struct capture *c);
static void send_answer(struct capture *c);

static const struct probe_watch probe_watch = {
    .on_phase = on_phase, .on_end = on_probe_end, .on_done = on_probe_done};

/* ---- the list -------------------------------------------------------------------------------- */

void captures_init(struct captures *cs, struct supervisor *sup)
{
    cs->sup = sup;
    list_init(&cs->all);
}

static void capture_free(struct capture *c)
{
    list_remove(&c->link);
    if (c->out_fd >= 0)
        (void)close(c->out_fd);
    free(c->request_id);
    json_decref(c->params);
    json_decref(c->answer);
    json_decref(c->probe_end);
    free(c);
}

static void capture_forget(struct capture *c)
{
    keep_drop(&c->owner->sup->keep, "c/%s.*", c->id);
    capture_free(c);
}

void captures_clear(struct captures *cs)
{
    struct capture *c;
    LIST_EACH(c, &cs->all)
    capture_free(c);
    strlist_clear(&cs->local);
}

bool captures_running(const struct captures *cs)
{
    struct capture *c;
    LIST_EACH(c, &cs->all)
    if (!c->ended)
        return true;
    return false;
}

const char *captures_id(const struct capture *c)
{
    return c->id;
}

static struct capture *find(const struct captures *cs, const char *id)
{
    struct capture *c;
    LIST_EACH(c, &cs->all)
    if (str_eq(c->id, id))
        return c;
    return NULL;
}

bool captures_knows(const struct captures *cs, const char *id)
{
    return find(cs, id) != NULL;
}

static void drop_oldest_ended(struct captures *cs)
{
    struct capture *c;
    size_t count = list_count(&cs->all);
    LIST_EACH(c, &cs->all)
    if (count > KEPT_MAX && c->ended) {
        capture_forget(c);
        count--;
    }
}

void captures_forget_instance(struct captures *cs, struct instance *in)
{
    struct capture *c;
    LIST_EACH(c, &cs->all)
    if (c->instance == in)
        c->instance = NULL;
}

/* ---- for the next supervisor ----------------------------------------------------------------- */

static json_t *to_json(const struct capture *c)
{
    json_t *j = json_object();
    json_set_int(j, "step", c->step);
    json_set_string(j, "request_id", c->request_id);
    (void)json_object_set(j, "params", c->params);
    json_set_int(j, "pm_id", c->pm_id);
    json_set_int(j, "pid", c->pid);
    json_set_string(j, "phase", c->phase);
    json_set_bool(j, "local", c->local);
    json_set_bool(j, "stop_wanted", c->stop_wanted);
    json_set_bool(j, "cancel_wanted", c->cancel_wanted);
    json_set_bool(j, "holds", c->holds);
    json_set_bool(j, "closing_only", c->closing_only);
    if (c->probe) {
        json_set_int(j, "probe_pid", probe_pid(c->probe));
        json_set_int(j, "deadline_ms", probe_deadline_ms(c->probe));
    }
    if (c->probe_end)
        (void)json_object_set(j, "probe_end", c->probe_end);
    if (c->answer)
        (void)json_object_set(j, "answer", c->answer);
    return j;
}

/* Called whenever something of it is another; before what depends on it is done. */
static void keep(const struct capture *c)
{
    struct keep_link *k = &c->owner->sup->keep;
    if (k->sock < 0)
        return;
    AUTOJSON json_t *j = to_json(c);
    kept_json_put(k, j, "c/%s.json", c->id);
}

static struct capture *from_json(struct captures *cs, const char *id, const json_t *j)
{
    struct capture *c = xcalloc(1, sizeof *c);
    c->owner = cs;
    (void)snprintf(c->id, sizeof c->id, "%s", id);
    c->step = (enum capture_step)json_get_int(j, "step", CAPTURE_ENDED);
    c->request_id = xstrdup(json_get_string(j, "request_id", ""));
    c->params = json_incref(json_object_get(j, "params"));
    c->pm_id = (unsigned)json_get_int(j, "pm_id", 0);
    c->pid = (pid_t)json_get_int(j, "pid", 0);
    (void)snprintf(c->phase, sizeof c->phase, "%s", json_get_string(j, "phase", "open"));
    c->local = json_get_bool(j, "local", false);
    c->stop_wanted = json_get_bool(j, "stop_wanted", false);
    c->cancel_wanted = json_get_bool(j, "cancel_wanted", false);
    c->holds = json_get_bool(j, "holds", false);
    c->closing_only = json_get_bool(j, "closing_only", false);
    c->probe_end = json_incref(json_object_get(j, "probe_end"));
    c->answer = json_incref(json_object_get(j, "answer"));
    c->ended = c->step == CAPTURE_ENDED;
    c->out_fd = -1;
    list_add(&cs->all, &c->link, c);
    return c;
}

static struct instance *find_instance(const struct supervisor *sup, unsigned pm_id)
{
    struct app *app;
    struct instance *in;
    LIST_EACH(app, &sup->apps)
    LIST_EACH(in, &app->instances)
    if ((unsigned)in->pm_id == pm_id)
        return in;
    return NULL;
}

/* What is set when its probe ends by itself. */
static void limit(struct capture *c, uint64_t ms)
{
    if (!c->probe)
        return;
    probe_limit(c->probe, ms);
    keep(c);
}

/* The order may have been queued when we died; it says nothing new when it was not. */
static void repeat_orders(struct capture *c)
{
    if (c->closing_only)
        return;
    if (c->cancel_wanted)
        probe_cancel(c->probe);
    else if (c->holds)
        probe_stop(c->probe, "app_stop");
    else if (c->stop_wanted)
        probe_stop(c->probe, "requested");
    if (c->instance && inspector_has_strangers(&c->instance->inspector))
        probe_leave_open(c->probe);
}

static void restore_probe(struct capture *c, const json_t *kept)
{
    struct supervisor *sup = c->owner->sup;
    AUTOJSON json_t *begin = c->instance ? begin_message(c, c->closing_only) : NULL;
    struct probe_watch watch = probe_watch;
    watch.arg = c;
    c->probe = probe_adopt(sup, c->id, (pid_t)json_get_int(kept, "probe_pid", 0), begin,
                           c->probe_end, &watch);
    if (!c->probe && c->instance) {
        run_probe(c);
        return;
    }
    if (!c->probe) {
        on_probe_done(c, NULL, false);
        return;
    }
    int64_t deadline_ms = json_get_int(kept, "deadline_ms", 0);
    int64_t left_ms = deadline_ms - (int64_t)uv_now(&sup->loop);
    if (deadline_ms > 0)
        probe_limit(c->probe, left_ms > 0 ? (uint64_t)left_ms : 0);
    repeat_orders(c);
    log_info("capture %s: goes on in phase %s, probe %d", c->id, c->phase,
             (int)probe_pid(c->probe));
}

static void go_on(struct capture *c, const json_t *kept)
{
    switch (c->step) {
    case CAPTURE_OPENS:
        if (c->instance)
            inspector_resume_open(&c->instance->inspector, c->pid, on_opened, c);
        else
            on_opened(c, ERR_APP_GONE, "the app was deleted");
        break;
    case CAPTURE_PROBED:
        restore_probe(c, kept);
        break;
    case CAPTURE_CHECKS:
        on_closer_done(c);
        break;
    case CAPTURE_ENDED:
        break;
    }
}

static void restore(struct captures *cs, const char *id)
{
    struct supervisor *sup = cs->sup;
    AUTOJSON json_t *kept = kept_json_get(&sup->keep, "c/%s.json", id);
    if (!kept) {
        keep_drop(&sup->keep, "c/%s.*", id);
        return;
    }
    struct capture *c = from_json(cs, id, kept);
    if (c->ended)
        return;
    c->out_fd = keep_take(&sup->keep, "c/%s.out", id);
    struct instance *in = find_instance(sup, c->pm_id);
    if (in && !in->capture) {
        c->instance = in;
        in->capture = c;
    }
    go_on(c, kept);
}

static void add_id(void *arg, const char *name)
{
    char id[UUID_TEXT];
    const char *at = name + strlen("c/");
    size_t len = strcspn(at, ".");
    if (len >= sizeof id || !str_eq(at + len, ".json"))
        return;
    (void)snprintf(id, sizeof id, "%.*s", (int)len, at);
    strlist_add(arg, id);
}

void captures_restore(struct captures *cs)
{
    struct app *app;
    struct instance *in;
    AUTOSTRLIST struct strlist ids = {0};
    uv_update_time(&cs->sup->loop);
    captures_restore_local(cs);
    keep_each(&cs->sup->keep, "c/", add_id, &ids);
    for (size_t i = 0; i < ids.count; i++)
        restore(cs, ids.items[i]);
    LIST_EACH(app, &cs->sup->apps)
    LIST_EACH(in, &app->instances)
    if (!in->capture)
        inspector_close_leftover(&in->inspector);
}

/* ---- starting -------------------------------------------------------------------------------- */

/* Tells the agent the phase, and when. */
static void progress(struct capture *c)
{
    AUTOJSON json_t *params = json_object();
    json_set_string(params, "phase", c->phase);
    json_set_int(params, "at_ms", loop_wall_ms());
    json_set_int(params, "pid", c->pid);
    if (c->instance) {
        char version[32];
        const struct runtime_version *v = &c->instance->runtime;
        (void)snprintf(version, sizeof version, "%d.%d.%d", v->major, v->minor, v->patch);
        json_set_string(params, "node_version", version);
    }
    keep(c);
    agent_link_progress(&c->owner->sup->agent, c->request_id, params);
}

static void enter_phase(struct capture *c, const char *phase)
{
    (void)snprintf(c->phase, sizeof c->phase, "%s", phase);
    progress(c);
}

/* The id is known: the agent was restarted and asks again. */
static void attach_again(struct capture *c, const char *request_id, int out_fd)
{
    if (out_fd >= 0)
        (void)close(out_fd);
    free(c->request_id);
    c->request_id = xstrdup(request_id);
    if (c->ended)
        send_answer(c);
    else
        progress(c); /* keeps the id, too */
}

void captures_start(struct captures *cs, const char *request_id, const json_t *params, int out_fd)
{
    const char *id = json_get_string(params, "id", "");
    struct capture *c = find(cs, id);
    if (c) {
        attach_again(c, request_id, out_fd);
        return;
    }
    if (out_fd < 0) {
        agent_link_error(&cs->sup->agent, request_id, ERR_NOT_FOUND, "no such capture runs");
        return;
    }
    char text[400];
    c = xcalloc(1, sizeof *c);
    c->owner = cs;
    c->out_fd = out_fd;
    c->params = json_deep_copy(params);
    c->request_id = xstrdup(request_id);
    (void)snprintf(c->id, sizeof c->id, "%s", id);
    c->local = captures_take_local(cs, id);
    list_add(&cs->all, &c->link, c);
    int r =
        capture_target_find(cs->sup, params, c->local, &c->instance, &c->pid, text, sizeof text);
    if (r == 0 && keep_store(&cs->sup->keep, out_fd, "c/%s.out", id) < 0) {
        (void)snprintf(text, sizeof text, "the host has no room for one more capture");
        r = ERR_BUSY;
    }
    if (r < 0) {
        log_info("capture %s: refused: %s", c->id, text);
        agent_link_error(&cs->sup->agent, request_id, r, text);
        capture_free(c);
        return;
    }
    drop_oldest_ended(cs);
    c->instance->capture = c;
    c->pm_id = (unsigned)c->instance->pm_id;
    log_info("capture %s: %s of %s, pid %d", c->id, json_get_string(params, "kind", ""),
             instance_name(c->instance), (int)c->pid);
    enter_phase(c, "open");
    inspector_open(&c->instance->inspector, c->pid, on_opened, c);
}

/* Ends the capture before or without a probe's own word. */
static void end_with(struct capture *c, const char *state, int error, const char *text)
{
    json_decref(c->answer);
    c->answer = json_object();
    json_set_string(c->answer, "state", state);
    json_set_string(c->answer, "phase", c->phase);
    if (error < 0) {
        json_set_string(c->answer, "error", err_name(error));
        json_set_string(c->answer, "message", text ? text : err_str(error));
    }
}

static void on_opened(void *arg, int r, const char *text)
{
    struct capture *c = arg;
    if (r < 0) {
        end_with(c, c->cancel_wanted ? "cancelled" : "failed", c->cancel_wanted ? 0 : r, text);
        release(c);
        send_answer(c);
        return;
    }
    if (c->instance->state == INSTANCE_STOPPING) {
        /* It goes with its port; a client would only hold it. */
        end_with(c, "failed", ERR_APP_GONE, "the app was being stopped");
        release(c);
        send_answer(c);
        return;
    }
    if (c->owner->sup->safe) {
        AUTOFREE char *why = safe_mode_explain(c->owner->sup);
        end_with(c, "failed", ERR_SAFE_MODE, why);
    }
    start_probe(c, c->cancel_wanted || c->answer);
}

static json_t *begin_message(struct capture *c, bool closing_only)
{
    struct inspector *i = &c->instance->inspector;
    const char *kind = closing_only ? "close" : json_get_string(c->params, "kind", "");
    json_t *begin = json_object();
    json_set_string(begin, "kind", kind);
    json_set_int(begin, "pid", c->pid);
    json_set_int(begin, "port", i->port);
    json_set_string(begin, "path", i->path);
    json_set_int(begin, "node_major", c->instance->runtime.major);
    json_set_bool(begin, "close", i->ours);
    static const char *const numbers[] = {"duration_ms", "interval_us", "interval_bytes"};
    for (size_t n = 0; n < ARRAY_SIZE(numbers); n++)
        if (json_object_get(c->params, numbers[n]))
            json_set_int(begin, numbers[n], json_get_int(c->params, numbers[n], 0));
    if (!json_object_get(begin, "duration_ms"))
        json_set_int(begin, "duration_ms", c->owner->sup->policy.max_duration_ms);
    return begin;
}

static void start_probe(struct capture *c, bool closing_only)
{
    c->closing_only = closing_only;
    c->step = CAPTURE_PROBED;
    if (closing_only && !c->answer)
        end_with(c, "cancelled", 0, NULL);
    inspector_client(&c->instance->inspector);
    keep(c);
    run_probe(c);
}

static void run_probe(struct capture *c)
{
    AUTOJSON json_t *begin = begin_message(c, c->closing_only);
    struct probe_watch watch = probe_watch;
    watch.arg = c;
    /* A result that is there already must not be touched by a probe that only closes. */
    int out_fd = c->closing_only ? -1 : c->out_fd;
    int r = probe_start(c->owner->sup, c->id, c->pid, begin, out_fd, &watch, &c->probe);
    if (r < 0) {
        /* One that only closes has nothing to say of the result. */
        if (!c->closing_only)
            end_with(c, "failed", r, "the probe could not be started");
        c->step = CAPTURE_CHECKS;
        keep(c);
        inspector_check(&c->instance->inspector, on_checked, c);
        return;
    }
    uint64_t limit_ms = (uint64_t)json_get_int(begin, "duration_ms", 0) + PROBE_GRACE_MS;
    limit(c, c->closing_only ? CLOSER_MS : limit_ms);
    if (c->stop_wanted && !c->closing_only)
        probe_stop(c->probe, "requested");
}

static void on_phase(void *arg, const char *phase)
{
    struct capture *c = arg;
    if (!c->closing_only)
        enter_phase(c, phase);
}

static void on_probe_end(void *arg, const json_t *end)
{
    struct capture *c = arg;
    json_decref(c->probe_end);
    c->probe_end = json_deep_copy(end);
    keep(c);
}

/* ---- ending ---------------------------------------------------------------------------------- */

/* Nobody is left to close the port that this capture has opened. */
static bool needs_closer(const struct capture *c)
{
    const struct instance *in = c->instance;
    return in && !c->holds && in->inspector.ours && in->inspector.pid == c->pid &&
           procfs_listens(c->pid, in->inspector.port) == 1;
}

static void on_probe_done(void *arg, const json_t *end, bool overdue)
{
    struct capture *c = arg;
    c->probe = NULL;
    json_decref(c->probe_end);
    c->probe_end = NULL;
    if (c->closing_only) {
        on_closer_done(c);
        return;
    }
    if (end) {
        json_decref(c->answer);
        c->answer = json_deep_copy(end);
        if (c->instance && str_eq(json_get_string(end, "error", NULL), err_name(ERR_WRONG_PROCESS)))
            inspector_disown(&c->instance->inspector);
        if (c->instance && json_get_bool(end, "loop_blocked", false))
            inspector_expect_reopening(&c->instance->inspector);
    } else if (c->cancel_wanted) {
        end_with(c, "cancelled", 0, NULL);
    } else if (overdue) {
        end_with(c, "failed", -ETIMEDOUT,
                 "the process did not answer the profiler in time, and the capture was given up; "
                 "the app goes on");
    } else {
        end_with(c, "failed", ERR_PROBE_GONE, "the probe was killed or crashed; the app goes on");
    }
    if (!end && needs_closer(c)) {
        start_probe(c, true);
        return;
    }
    on_closer_done(c);
}

static void on_closer_done(struct capture *c)
{
    bool same = c->instance && c->instance->inspector.pid == c->pid;
    c->step = CAPTURE_CHECKS;
    keep(c);
    if (same && !c->holds)
        inspector_check(&c->instance->inspector, on_checked, c);
    else
        on_checked(c, false);
}

/* A probe that failed before it could close the port.  Node 8 and 9 close in their own time; where somebody else is
 * attached, the port stays. */
static bool may_close_again(const struct capture *c)
{
    const struct instance *in = c->instance;
    return in && !c->closing_only && in->runtime.major >= 10 && in->state != INSTANCE_STOPPING &&
           !inspector_has_strangers(&in->inspector);
}

static void on_checked(void *arg, bool left_open)
{
    struct capture *c = arg;
    if (left_open && may_close_again(c)) {
        start_probe(c, true);
        return;
    }
    if (left_open) {
        json_t *warnings = json_array();
        (void)json_array_append_new(warnings, json_string("port_left_open"));
        (void)json_object_set_new(c->answer, "warnings", warnings);
    }
    release(c);
    send_answer(c);
}

/* The instance is free for others; a stop that waited goes on. */
static void release(struct capture *c)
{
    struct instance *in = c->instance;
    c->ended = true;
    c->step = CAPTURE_ENDED;
    c->holds = false;
    c->instance = NULL;
    keep_drop(&c->owner->sup->keep, "c/%s.out", c->id);
    if (c->out_fd >= 0)
        (void)close(c->out_fd);
    c->out_fd = -1;
    if (!in) {
        keep(c);
        return;
    }
    char version[32];
    (void)snprintf(version, sizeof version, "%d.%d.%d", in->runtime.major, in->runtime.minor,
                   in->runtime.patch);
    json_set_string(c->answer, "node_version", version);
    json_set_int(c->answer, "pid", c->pid);
    keep(c);
    instance_capture_released(in);
}

static void send_answer(struct capture *c)
{
    log_info("capture %s: %s in phase %s %s", c->id, json_get_string(c->answer, "state", "?"),
             json_get_string(c->answer, "phase", "?"), json_get_string(c->answer, "error", ""));
    agent_link_result(&c->owner->sup->agent, c->request_id, c->answer);
    supervisor_capture_ended(c->owner->sup);
}

/* ---- orders ---------------------------------------------------------------------------------- */

int captures_stop(struct captures *cs, const char *id)
{
    struct capture *c = find(cs, id);
    if (!c)
        return ERR_NOT_FOUND;
    c->stop_wanted = true;
    keep(c);
    if (c->probe && !c->closing_only) {
        probe_stop(c->probe, "requested");
        limit(c, PROBE_GRACE_MS);
    }
    return 0;
}

int captures_cancel(struct captures *cs, const char *id)
{
    struct capture *c = find(cs, id);
    if (!c)
        return ERR_NOT_FOUND;
    c->cancel_wanted = true;
    keep(c);
    if (!c->ended && c->instance && inspector_abort(&c->instance->inspector, c)) {
        end_with(c, "cancelled", 0, NULL);
        release(c);
        send_answer(c);
        return 0;
    }
    if (c->probe && !c->closing_only) {
        probe_cancel(c->probe);
        limit(c, CANCEL_MS);
    }
    return 0;
}

int captures_ack(struct captures *cs, const char *id)
{
    struct capture *c = find(cs, id);
    if (!c)
        return ERR_NOT_FOUND;
    if (c->ended)
        capture_forget(c);
    return 0;
}

/* ---- what the app does ----------------------------------------------------------------------- */

static void let_go(struct capture *c, const char *reason)
{
    if (!c->probe)
        return;
    probe_stop(c->probe, reason);
    limit(c, LET_GO_MS);
}

bool captures_app_stopping(struct capture *c)
{
    if (c->ended)
        return false;
    /* Still opening, or looking whether the port is closed: nobody is attached. */
    if (!c->probe)
        return false;
    c->holds = true;
    let_go(c, "app_stop");
    return true;
}

void captures_app_exiting(struct capture *c)
{
    if (!c->ended)
        let_go(c, "app_exit");
}

void captures_process_gone(struct capture *c)
{
    limit(c, LET_GO_MS);
}

void captures_attached(struct capture *c)
{
    if (c->probe && c->instance && inspector_has_strangers(&c->instance->inspector))
        probe_leave_open(c->probe);
}
