#include "supervisor/operations.h"

#include <stdlib.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/app.h"
#include "supervisor/control.h"
#include "supervisor/instance.h"
#include "supervisor/instance_keep.h"
#include "supervisor/safe_mode.h"
#include "supervisor/state_file.h"
#include "supervisor/supervisor.h"

/* Answers kept: a client repeats its request within seconds. */
enum { FINISHED_MAX = 64, FINISHED_BYTES = 1 << 20 };

struct item {
    struct instance *instance; /* NULL: settled */
    enum operation_action action;
    unsigned changes_before; /* of the instance: how often something had been done to it */
    json_t *result;
};

struct operation {
    struct list link;
    struct operations *owner;
    struct peer *peer; /* NULL: gone */
    char *id;
    struct item *items;
    size_t count;
    bool going;
    json_t *answer; /* set when finished */
    size_t answer_bytes;
};

void operations_init(struct operations *os, struct supervisor *sup)
{
    os->sup = sup;
    list_init(&os->running);
    list_init(&os->finished);
}

static void operation_free(struct operation *op)
{
    list_remove(&op->link);
    for (size_t i = 0; i < op->count; i++)
        json_decref(op->items[i].result);
    free(op->items);
    free(op->id);
    json_decref(op->answer);
    free(op);
}

void operations_clear(struct operations *os)
{
    struct operation *op;
    LIST_EACH(op, &os->running)
    operation_free(op);
    LIST_EACH(op, &os->finished)
    operation_free(op);
}

static struct operation *find(struct list *list, const char *id)
{
    struct operation *op;
    LIST_EACH(op, list)
    if (str_eq(op->id, id))
        return op;
    return NULL;
}

bool operations_repeat(struct operations *os, struct peer *peer, const char *id)
{
    struct operation *op = find(&os->running, id);
    if (op) {
        /* It goes on under a supervisor that does more than watch. */
        if (!safe_mode_refuses(peer, id))
            op->peer = peer;
        return true;
    }
    op = find(&os->finished, id);
    if (op)
        peer_result(peer, id, op->answer, -1);
    return op != NULL;
}

struct operation *operation_new(struct operations *os, struct peer *peer, const char *id)
{
    struct operation *op = xcalloc(1, sizeof *op);
    op->owner = os;
    op->peer = peer;
    op->id = xstrdup(id);
    list_add(&os->running, &op->link, op);
    return op;
}

static struct item *add_item(struct operation *op)
{
    op->items = xreallocarray(op->items, op->count + 1, sizeof *op->items);
    struct item *item = &op->items[op->count++];
    *item = (struct item){0};
    return item;
}

void operation_add(struct operation *op, struct instance *in, enum operation_action action)
{
    *add_item(op) = (struct item){.instance = in, .action = action, .changes_before = in->changes};
}

/* ---- what is done ---------------------------------------------------------------------------- */

static const struct change {
    const char *word;
    enum instance_event event;
    bool acts;
    bool resets_counts;
    bool deletes;
} changes[] = {
    [ACTION_STARTED] = {"started", EV_START, true, true, false},
    [ACTION_STOPPED] = {"stopped", EV_STOP, true, false, false},
    [ACTION_RESTARTED] = {"restarted", EV_RESTART, true, true, false},
    [ACTION_DELETED] = {"deleted", EV_STOP, true, false, true},
    [ACTION_UNCHANGED] = {"unchanged", EV_START, false, false, false},
};

/* The count goes up in the commit of the new state; where the event means nothing in the present one, in its own. */
static void apply(struct instance *in, const struct change *change)
{
    if (change->resets_counts)
        instance_reset_counts(in);
    in->delete_when_stopped = change->deletes;
    in->changes++;
    bool means_something = instance_rule(in->state, change->event).listed;
    instance_event(in, change->event);
    if (means_something)
        return;
    instance_commit(in);
    /* One that was at rest already has no event to wait for. */
    if (change->deletes && in->state == INSTANCE_STOPPED)
        supervisor_instance_changed(in);
}

/* A count that has gone back belongs to one that was gone, and whose removal was not stored any more. */
static bool is_applied(const struct item *item)
{
    return item->instance->changes > item->changes_before || !changes[item->action].acts;
}

static void apply_item(const struct item *item)
{
    if (item->instance && !is_applied(item))
        apply(item->instance, &changes[item->action]);
}

/* ---- results --------------------------------------------------------------------------------- */

static json_t *describe(const struct item *item, bool gone)
{
    const struct instance *in = item->instance;
    AUTOFREE char *error = gone ? NULL : instance_explain(in);
    json_t *j = json_object();
    json_set_string(j, "name", in->app->spec.name);
    json_set_int(j, "instance", in->number);
    json_set_int(j, "pm_id", in->pm_id);
    json_set_int(j, "pid", instance_pid(in));
    json_set_string(j, "status", gone ? "deleted" : instance_state_word(in->state));
    json_set_string(j, "action", changes[item->action].word);
    json_set_string(j, "error", error);
    return j;
}

static void settle(struct item *item, bool gone)
{
    item->result = describe(item, gone);
    item->instance = NULL;
}

/* The newest stays, whatever its size. */
static void drop_oldest(struct operations *os)
{
    struct operation *op;
    size_t count = 0, bytes = 0;
    LIST_EACH(op, &os->finished)
    {
        count++;
        bytes += op->answer_bytes;
    }
    LIST_EACH(op, &os->finished)
    {
        if (count == 1 || (count <= FINISHED_MAX && bytes <= FINISHED_BYTES))
            return;
        count--;
        bytes -= op->answer_bytes;
        operation_free(op);
    }
}

/* Takes the answer. */
static void finish(struct operation *op, json_t *answer)
{
    struct operations *os = op->owner;
    op->answer = answer;
    op->answer_bytes = json_dumpb(answer, NULL, 0, JSON_COMPACT);
    list_remove(&op->link);
    list_add(&os->finished, &op->link, op);
    drop_oldest(os);
}

void operations_answered(struct operations *os, const char *id, json_t *answer)
{
    finish(operation_new(os, NULL, id), json_incref(answer));
}

static json_t *make_answer(const struct operation *op)
{
    json_t *answer = json_object(), *list = json_array();
    for (size_t i = 0; i < op->count; i++)
        (void)json_array_append(list, op->items[i].result);
    (void)json_object_set_new(answer, "instances", list);
    return answer;
}

static void answer_when_settled(struct operation *op)
{
    struct supervisor *sup = op->owner->sup;
    for (size_t i = 0; i < op->count; i++)
        if (op->items[i].instance)
            return;
    finish(op, make_answer(op));
    if (op->peer) {
        AUTOJSON json_t *answer = json_copy(op->answer);
        state_file_warn(&sup->state_file, answer);
        state_file_warned(&sup->state_file);
        peer_result(op->peer, op->id, answer, -1);
    }
    op->peer = NULL;
    /* Not before the answer: as long as it is not stored the operation counts as running, and ends the same way again. */
    supervisor_state_changed(sup);
}

static void settle_what_rests(struct operation *op)
{
    op->going = true;
    for (size_t i = 0; i < op->count; i++)
        if (op->items[i].instance && instance_at_rest(op->items[i].instance))
            settle(&op->items[i], false);
    answer_when_settled(op);
}

void operation_go(struct operation *op)
{
    struct supervisor *sup = op->owner->sup;
    state_file_store(&sup->state_file);
    for (size_t i = 0; i < op->count; i++)
        apply_item(&op->items[i]);
    supervisor_state_changed(sup);
    settle_what_rests(op);
}

static void send_progress(struct operation *op, const struct instance *in, bool gone)
{
    if (!op->peer)
        return;
    AUTOJSON json_t *params = json_object();
    json_set_string(params, "name", in->app->spec.name);
    json_set_int(params, "instance", in->number);
    json_set_int(params, "pid", instance_pid(in));
    json_set_string(params, "status", gone ? "deleted" : instance_state_word(in->state));
    peer_progress(op->peer, op->id, params);
}

void operations_instance_changed(struct operations *os, struct instance *in, bool gone)
{
    struct operation *op;
    LIST_EACH(op, &os->running)
    {
        bool touched = false;
        for (size_t i = 0; i < op->count; i++) {
            struct item *item = &op->items[i];
            if (item->instance != in)
                continue;
            touched = true;
            send_progress(op, in, gone);
            /* A deletion is over when the instance is, not when it has stopped. */
            bool deleting = in->delete_when_stopped && !gone;
            if (gone || (op->going && !deleting && instance_at_rest(in)))
                settle(item, gone);
        }
        if (touched && op->going)
            answer_when_settled(op);
    }
}

void operations_forget_peer(struct operations *os, struct peer *peer)
{
    struct operation *op;
    LIST_EACH(op, &os->running)
    if (op->peer == peer)
        op->peer = NULL;
}

/* ---- surviving ------------------------------------------------------------------------------- */

static json_t *item_to_json(const struct item *item)
{
    const struct instance *in = item->instance;
    if (!in)
        return json_incref(item->result);
    json_t *j = json_object();
    json_set_string(j, "name", in->app->spec.name);
    json_set_int(j, "instance", in->number);
    json_set_int(j, "pm_id", in->pm_id);
    json_set_string(j, "action", changes[item->action].word);
    json_set_int(j, "changes", item->changes_before);
    return j;
}

static json_t *operation_to_json(const struct operation *op)
{
    json_t *j = json_object(), *items = json_array();
    json_set_string(j, "id", op->id);
    if (op->answer)
        (void)json_object_set(j, "answer", op->answer);
    for (size_t i = 0; !op->answer && i < op->count; i++)
        (void)json_array_append_new(items, item_to_json(&op->items[i]));
    (void)json_object_set_new(j, "items", items);
    return j;
}

json_t *operations_to_json(const struct operations *os)
{
    struct operation *op;
    json_t *list = json_array();
    LIST_EACH(op, &os->finished)
    (void)json_array_append_new(list, operation_to_json(op));
    LIST_EACH(op, &os->running)
    (void)json_array_append_new(list, operation_to_json(op));
    return list;
}

static enum operation_action action_from_word(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(changes); i++)
        if (str_eq(changes[i].word, word))
            return (enum operation_action)i;
    return ACTION_UNCHANGED;
}

static struct instance *find_instance(struct supervisor *sup, const json_t *j)
{
    struct app *app = supervisor_app(sup, json_get_string(j, "name", ""));
    int64_t number = json_get_int(j, "instance", -1);
    struct instance *in =
        app && number >= 0 && number < LIMIT_INSTANCES ? app_instance(app, (unsigned)number) : NULL;
    return in && in->pm_id == json_get_int(j, "pm_id", -1) ? in : NULL;
}

/* One that is not there any more was on its way out. */
static json_t *result_of_gone(const json_t *j)
{
    json_t *result = json_copy((json_t *)j);
    (void)json_object_del(result, "changes");
    json_set_int(result, "pid", 0);
    json_set_string(result, "status", "deleted");
    return result;
}

static void item_from_json(struct operation *op, json_t *j)
{
    struct item *item = add_item(op);
    struct instance *in = find_instance(op->owner->sup, j);
    item->action = action_from_word(json_get_string(j, "action", ""));
    item->changes_before = (unsigned)json_get_int(j, "changes", 0);
    if (json_object_get(j, "status"))
        item->result = json_incref(j);
    else if (in)
        item->instance = in;
    else
        item->result = result_of_gone(j);
}

static void operation_from_json(struct operations *os, const json_t *j)
{
    size_t i;
    json_t *item, *answer = json_object_get(j, "answer");
    const char *id = json_get_string(j, "id", "");
    struct operation *op = operation_new(os, NULL, id);
    json_array_foreach(json_object_get(j, "items"), i, item)
    {
        item_from_json(op, item);
    }
    if (answer)
        finish(op, json_incref(answer));
}

void operations_from_json(struct operations *os, const json_t *json)
{
    size_t i;
    json_t *j;
    json_array_foreach(json, i, j)
    {
        operation_from_json(os, j);
    }
}

/* Those that were freed while the state could not be stored any more go first: nothing else is done to them again. */
static void free_deleted(struct operations *os)
{
    struct operation *op;
    LIST_EACH(op, &os->running)
    for (size_t i = 0; i < op->count; i++) {
        const struct item *item = &op->items[i];
        if (item->instance && item->action == ACTION_DELETED &&
            item->instance->changes < item->changes_before)
            apply_item(item);
    }
}

void operations_go_on(struct operations *os)
{
    struct operation *op;
    free_deleted(os);
    LIST_EACH(op, &os->running)
    {
        log_info("a command of before is gone on with, %zu instances", op->count);
        for (size_t i = 0; i < op->count; i++)
            apply_item(&op->items[i]);
    }
    LIST_EACH(op, &os->running)
    settle_what_rests(op);
}
