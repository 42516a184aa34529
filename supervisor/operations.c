#include "supervisor/operations.h"

#include <stdlib.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "supervisor/app.h"
#include "supervisor/control.h"
#include "supervisor/instance.h"
#include "supervisor/state_file.h"
#include "supervisor/supervisor.h"

enum { FINISHED_MAX = 64 };

struct item {
    struct instance *instance; /* NULL: settled */
    const char *action;
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
};

void operations_init(struct operations *os)
{
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

void operation_add(struct operation *op, struct instance *in, const char *action)
{
    op->items = xreallocarray(op->items, op->count + 1, sizeof *op->items);
    op->items[op->count++] = (struct item){.instance = in, .action = action};
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
    json_set_string(j, "action", item->action);
    json_set_string(j, "error", error);
    return j;
}

static void settle(struct item *item, bool gone)
{
    item->result = describe(item, gone);
    item->instance = NULL;
}

static void drop_oldest(struct operations *os)
{
    struct operation *op;
    size_t count = list_count(&os->finished);
    LIST_EACH(op, &os->finished)
    {
        if (count-- <= FINISHED_MAX)
            return;
        operation_free(op);
    }
}

static void answer_when_settled(struct operation *op)
{
    for (size_t i = 0; i < op->count; i++)
        if (op->items[i].instance)
            return;
    json_t *list = json_array();
    for (size_t i = 0; i < op->count; i++)
        (void)json_array_append(list, op->items[i].result);
    op->answer = json_object();
    (void)json_object_set_new(op->answer, "instances", list);
    if (op->peer)
        state_file_warn(&op->peer->sup->state_file, op->answer);
    if (op->peer)
        peer_result(op->peer, op->id, op->answer, -1);
    op->peer = NULL;
    list_remove(&op->link);
    list_add(&op->owner->finished, &op->link, op);
    drop_oldest(op->owner);
}

void operation_go(struct operation *op)
{
    op->going = true;
    for (size_t i = 0; i < op->count; i++)
        if (op->items[i].instance && instance_at_rest(op->items[i].instance))
            settle(&op->items[i], false);
    answer_when_settled(op);
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
