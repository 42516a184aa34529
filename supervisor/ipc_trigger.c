#include "supervisor/ipc_trigger.h"

#include <stdlib.h>
#include <uv.h>

#include "ecosystem/spec.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/app.h"
#include "supervisor/control.h"
#include "supervisor/instance.h"
#include "supervisor/ipc.h"
#include "supervisor/supervisor.h"
#include "supervisor/targets.h"

enum { FINISHED_MAX = 8 };

/* An answer that is longer than this is not kept, and not given. */
#define ANSWER_BYTES (256u << 10)
#define RECORD_BYTES (64u << 20)

struct trigger {
    struct list link;
    struct triggers *owner; /* NULL: it has let go */
    struct peer *peer;      /* NULL: gone */
    json_t *
        record; /* {"id", "action", "until_ms", "answers", "taken"}; an item without "return" and "error" waits; "taken" says
                   which messages were answers to this */
    uv_timer_t deadline;
};

static void on_deadline(uv_timer_t *timer);

void triggers_init(struct triggers *ts, struct supervisor *sup)
{
    ts->sup = sup;
    list_init(&ts->running);
    list_init(&ts->finished);
}

static void on_closed(uv_handle_t *handle)
{
    struct trigger *t = handle->data;
    json_decref(t->record);
    free(t);
}

static void let_go(struct trigger *t)
{
    list_remove(&t->link);
    t->owner = NULL;
    uv_close((uv_handle_t *)&t->deadline, on_closed);
}

void triggers_close(struct triggers *ts)
{
    struct trigger *t;
    LIST_EACH(t, &ts->running)
    let_go(t);
    LIST_EACH(t, &ts->finished)
    let_go(t);
}

static struct trigger *add(struct triggers *ts, json_t *record)
{
    struct trigger *t = xcalloc(1, sizeof *t);
    t->owner = ts;
    t->record = record;
    t->deadline.data = t;
    (void)uv_timer_init(&ts->sup->loop, &t->deadline);
    list_add(&ts->running, &t->link, t);
    return t;
}

/* ---- the store ------------------------------------------------------------------------------- */

static void add_records(json_t *array, struct list *list)
{
    struct trigger *t;
    LIST_EACH(t, list)
    (void)json_array_append(array, t->record);
}

static void keep(struct triggers *ts)
{
    AUTOBUF struct buf text = BUF_INIT(RECORD_BYTES);
    AUTOJSON json_t *all = json_object();
    json_t *records = json_array();
    add_records(records, &ts->finished);
    add_records(records, &ts->running);
    (void)json_object_set_new(all, "triggers", records);
    int r = json_to_buf(all, &text);
    if (r == 0)
        r = keep_put(&ts->sup->keep, text.data, text.len, "triggers");
    if (r < 0)
        log_warn(r, "cannot keep the actions that were asked for");
}

/* ---- answers --------------------------------------------------------------------------------- */

static bool waits(const json_t *item)
{
    return !json_object_get(item, "return") && !json_object_get(item, "error");
}

static bool all_answered(const struct trigger *t)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(t->record, "answers"), i,
                       item) if (waits(item)) return false;
    return true;
}

static void answer(struct trigger *t)
{
    AUTOJSON json_t *result = json_object();
    (void)json_object_set(result, "answers", json_object_get(t->record, "answers"));
    if (t->peer)
        peer_result(t->peer, json_get_string(t->record, "id", ""), result, -1);
    t->peer = NULL;
}

static void finish_when_answered(struct trigger *t)
{
    struct triggers *ts = t->owner;
    if (!all_answered(t))
        return;
    (void)uv_timer_stop(&t->deadline);
    list_remove(&t->link);
    list_add(&ts->finished, &t->link, t);
    if (list_count(&ts->finished) > FINISHED_MAX)
        let_go(ts->finished.next->owner);
    keep(ts);
    answer(t);
}

static void set_error(json_t *item, const char *text)
{
    if (waits(item))
        json_set_string(item, "error", text);
}

static void fail_waiting(struct trigger *t, int pm_id, const char *text)
{
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(t->record, "answers"), i, item)
    {
        if (pm_id < 0 || json_get_int(item, "pm_id", -1) == pm_id)
            set_error(item, text);
    }
    finish_when_answered(t);
}

static void on_deadline(uv_timer_t *timer)
{
    fail_waiting(timer->data, -1, "no answer in time");
}

void triggers_instance_gone(struct triggers *ts, struct instance *in)
{
    struct trigger *t;
    LIST_EACH(t, &ts->running)
    fail_waiting(t, in->pm_id, "its process ended before it answered");
}

void triggers_forget_peer(struct triggers *ts, struct peer *peer)
{
    struct trigger *t;
    LIST_EACH(t, &ts->running)
    if (t->peer == peer)
        t->peer = NULL;
}

static void set_return(json_t *item, const json_t *data)
{
    AUTOBUF struct buf text = BUF_INIT(ANSWER_BYTES);
    json_t *value = json_object_get(data, "return");
    AUTOFREE char *dumped = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    if (dumped && buf_addstr(&text, dumped) < 0)
        json_set_string(item, "error", "its answer is longer than 256 KiB");
    else
        (void)json_object_set_new(item, "return", value ? json_incref(value) : json_null());
}

static bool has_taken(struct list *list, const char *message)
{
    struct trigger *t;
    LIST_EACH(t, list)
    if (json_object_get(json_object_get(t->record, "taken"), message))
        return true;
    return false;
}

static void set_taken(struct trigger *t, const char *message)
{
    if (!json_object_get(t->record, "taken"))
        (void)json_object_set_new(t->record, "taken", json_object());
    json_set_bool(json_object_get(t->record, "taken"), message, true);
}

/* The oldest that waits for this: replies carry no id.  One that we died over comes again, and is nobody else's answer. */
void triggers_replied(struct triggers *ts, struct instance *in, const json_t *data)
{
    const char *action = json_get_string(data, "action_name", "");
    AUTOFREE char *message =
        xasprintf("%d %d %u", in->pm_id, (int)in->pgid, in->slot->ipc_received + 1);
    struct trigger *t;
    if (has_taken(&ts->running, message) || has_taken(&ts->finished, message))
        return;
    LIST_EACH(t, &ts->running)
    {
        size_t i;
        json_t *item;
        if (!str_eq(json_get_string(t->record, "action", ""), action))
            continue;
        json_array_foreach(json_object_get(t->record, "answers"), i, item)
        {
            if (json_get_int(item, "pm_id", -1) != in->pm_id || !waits(item))
                continue;
            set_return(item, data);
            set_taken(t, message);
            keep(ts);
            finish_when_answered(t);
            return;
        }
    }
}

/* ---- asking ---------------------------------------------------------------------------------- */

/* As PM2 does it: the bare name, or an object when there is a parameter. */
static json_t *make_message(const struct trigger_ask *ask)
{
    if (!ask->param)
        return json_string(ask->action);
    json_t *message = json_object();
    json_set_string(message, "msg", ask->action);
    json_set_string(message, "opts", ask->param);
    json_set_string(message, "action_name", ask->action);
    return message;
}

static char *names_of(const json_t *actions)
{
    struct buf text = BUF_INIT(LIMIT_IPC_FACTS);
    size_t i;
    json_t *name;
    json_array_foreach((json_t *)actions, i, name)(void)
        buf_addf(&text, "%s%s", i ? ", " : "", json_string_value(name));
    return buf_take(&text);
}

/* Why it cannot be asked; NULL: it can.  The caller frees. */
static char *why_not(const struct instance *in, const struct trigger_ask *ask)
{
    const json_t *known;
    if (!in->process)
        return xstrdup("it is not running");
    if (!in->ipc)
        return xstrdup("it has no IPC channel: actions are for Node apps");
    if (ipc_has_action(in, ask->action, &known))
        return NULL;
    AUTOFREE char *names = names_of(known);
    return *names ? xasprintf("it has no action '%s'; it has: %s", ask->action, names)
                  : xstrdup("it has told of no actions (message axm:action)");
}

static json_t *make_item(const struct instance *in, const struct trigger_ask *ask)
{
    AUTOFREE char *error = why_not(in, ask);
    json_t *item = json_object();
    json_set_string(item, "name", in->app->spec.name);
    json_set_int(item, "instance", in->number);
    json_set_int(item, "pm_id", in->pm_id);
    json_set_int(item, "pid", instance_pid(in));
    json_set_string(item, "error", error);
    return item;
}

static void ask_all(struct trigger *t, const struct targets *targets, const struct trigger_ask *ask)
{
    AUTOJSON json_t *message = make_message(ask);
    json_t *answers = json_object_get(t->record, "answers");
    for (size_t i = 0; i < targets->count; i++) {
        json_t *item = json_array_get(answers, i);
        if (!waits(item))
            continue;
        int r = ipc_send(targets->items[i], message);
        if (r < 0)
            set_error(item, r == ERR_FULL ? "it does not read its messages" : err_str(r));
    }
}

static struct trigger *find(struct list *list, const char *id)
{
    struct trigger *t;
    LIST_EACH(t, list)
    if (str_eq(json_get_string(t->record, "id", ""), id))
        return t;
    return NULL;
}

static bool repeats(struct triggers *ts, struct peer *peer, const char *id)
{
    struct trigger *t = find(&ts->running, id);
    bool running = t != NULL;
    if (!t)
        t = find(&ts->finished, id);
    if (!t)
        return false;
    t->peer = peer;
    if (!running)
        answer(t);
    return true;
}

void trigger_run(struct triggers *ts, struct peer *peer, const char *id,
                 const struct targets *targets, const struct trigger_ask *ask)
{
    if (repeats(ts, peer, id))
        return;
    if (list_count(&ts->running) >= LIMIT_TRIGGERS) {
        peer_error(peer, id, ERR_BUSY, "too many actions are waiting for their answers");
        return;
    }
    json_t *record = json_object(), *answers = json_array();
    json_set_string(record, "id", id);
    json_set_string(record, "action", ask->action);
    json_set_int(record, "until_ms", (int64_t)uv_now(&ts->sup->loop) + ask->timeout_ms);
    for (size_t i = 0; i < targets->count; i++)
        (void)json_array_append_new(answers, make_item(targets->items[i], ask));
    (void)json_object_set_new(record, "answers", answers);
    struct trigger *t = add(ts, record);
    t->peer = peer;
    keep(ts);
    ask_all(t, targets, ask);
    (void)uv_timer_start(&t->deadline, on_deadline, (uint64_t)ask->timeout_ms, 0);
    finish_when_answered(t);
}

void triggers_restore(struct triggers *ts)
{
    AUTOBUF struct buf text = BUF_INIT(RECORD_BYTES);
    if (keep_get(&ts->sup->keep, &text, "triggers") < 0)
        return;
    AUTOJSON json_t *all = json_object_parse(text.data, text.len);
    size_t i;
    json_t *record;
    json_array_foreach(json_object_get(all, "triggers"), i, record)
    {
        struct trigger *t = add(ts, json_incref(record));
        int64_t left_ms = json_get_int(record, "until_ms", 0) - (int64_t)uv_now(&ts->sup->loop);
        (void)uv_timer_start(&t->deadline, on_deadline, left_ms > 0 ? (uint64_t)left_ms : 0, 0);
    }
    /* When all are there, since this stores them. */
    struct trigger *t;
    LIST_EACH(t, &ts->running)
    finish_when_answered(t);
}
