#include "remote/api_order.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/api_fields.h"

/* Also the limits of the channel: a busy process' samples closer than 50 us would be all it does. */
enum {
    INTERVAL_US_MIN = 50,
    INTERVAL_US_MAX = 10000000,
    INTERVAL_BYTES_MIN = 1024,
    INTERVAL_BYTES_MAX = 1 << 30
};
enum { PID_MAX_ASKED = 1 << 30 };

static void read_target(struct fields *f, struct capture_target *ret_target)
{
    if (!json_is_object(f->object)) {
        field_refuse(f, "", "must be an object");
        return;
    }
    ret_target->host = field_uuid(f, "host", FIELD_REQUIRED, false);
    ret_target->app = field_text(f, "app", FIELD_REQUIRED, 1, LIMIT_NAME);
    ret_target->instance = field_int(f, "instance", 0, 0, LIMIT_INSTANCES);
    ret_target->pid = field_int(f, "pid", 0, 1, PID_MAX_ASKED);
}

static bool same_target(const struct capture_target *a, const struct capture_target *b)
{
    return a->instance == b->instance && a->pid == b->pid && str_eq(a->host, b->host) &&
           str_eq(a->app, b->app);
}

static void refuse_twice(struct fields *f, const struct capture_target *targets, size_t last)
{
    for (size_t i = 0; i < last; i++)
        if (same_target(&targets[i], &targets[last]))
            field_refuse(f, "host", "is the same process as \"targets[%zu]\"", i);
}

/* Each with its number in the sentences. */
static void read_targets(struct fields *f, const json_t *list, struct capture_target *targets)
{
    for (size_t i = 0; f->error == 0 && i < json_array_size(list); i++) {
        char where[32];
        (void)snprintf(where, sizeof where, "targets[%zu]", i);
        struct fields one = {.object = json_array_get(list, i), .where = where};
        read_target(&one, &targets[i]);
        if (one.error == 0)
            refuse_twice(&one, targets, i);
        f->error = one.error;
        (void)snprintf(f->text, sizeof f->text, "%s", one.text);
    }
}

/* An interval belongs to one kind: silently ignored it would mislead. */
static void check_intervals(struct fields *f, const struct capture_order *o)
{
    if (f->error < 0)
        return;
    if (o->interval_us && !str_eq(o->kind, "cpu"))
        field_refuse(f, "interval_us", "belongs to captures of kind \"cpu\"");
    if (o->interval_bytes && !str_eq(o->kind, "heap"))
        field_refuse(f, "interval_bytes", "belongs to captures of kind \"heap\"");
}

int order_parse(const json_t *body, struct capture_order *ret_order, char *reterr_text, size_t size)
{
    struct fields f = FIELDS(body);
    struct capture_order o = {0};
    o.id = field_uuid(&f, "id", FIELD_REQUIRED, true);
    o.kind = field_word(&f, "kind", FIELD_REQUIRED);
    o.duration_ms = field_int(&f, "duration_ms", 0, 1, LIMIT_CAPTURE_LONGEST_MS);
    o.interval_us = field_int(&f, "interval_us", 0, INTERVAL_US_MIN, INTERVAL_US_MAX);
    o.interval_bytes = field_int(&f, "interval_bytes", 0, INTERVAL_BYTES_MIN, INTERVAL_BYTES_MAX);
    o.wait_ms = field_int(&f, "wait_ms", 0, 1, LIMIT_COMMAND_WAIT_MS);
    const json_t *list = field_array(&f, "targets", 1, LIMIT_CAPTURE_TARGETS);
    AUTOFREE struct capture_target *targets = xcalloc(LIMIT_CAPTURE_TARGETS, sizeof *targets);
    read_targets(&f, list, targets);
    check_intervals(&f, &o);
    if (f.error < 0) {
        (void)snprintf(reterr_text, size, "%s", f.text);
        return f.error;
    }
    o.target_count = json_array_size(list);
    o.targets = TAKE(targets);
    *ret_order = o;
    return 0;
}

void order_clear(struct capture_order *order)
{
    free((void *)order->targets);
    *order = (struct capture_order){0};
}
