/* api_audit.c -- the audit log, page by page. */
#include <inttypes.h>
#include <stdio.h>

#include "lib/base/json.h"
#include "remote/api_call.h"
#include "remote/api_routes.h"

struct list_state {
    int64_t before;
    size_t limit;
    struct audit_list rows;
};

static void list_state_clear(void *state)
{
    struct list_state *s = state;
    audit_list_clear(&s->rows);
}

static int read_list(struct db *db, void *arg)
{
    struct api_call *c = arg;
    struct list_state *s = c->state;
    return audit_list_read(db, s->before, s->limit, &s->rows);
}

static json_t *audit_view(const struct audit_row *row)
{
    json_t *j = json_object();
    json_set_int(j, "id", row->id);
    json_set_int(j, "at_ms", row->at_ms);
    json_set_string(j, "who", row->who);
    json_set_string(j, "address", row->address);
    json_set_string(j, "what", row->what);
    json_set_string(j, "text", row->text);
    return j;
}

static void on_list(void *arg, int result)
{
    struct api_call *c = arg;
    const struct list_state *s = c->state;
    if (result < 0) {
        api_fail(c, result, NULL);
        return;
    }
    json_t *rows = json_array(), *view = json_object();
    for (size_t i = 0; i < s->rows.count; i++)
        (void)json_array_append_new(rows, audit_view(&s->rows.rows[i]));
    bool full = s->rows.count > 0 && s->rows.count == s->limit;
    (void)json_object_set_new(view, "audit", rows);
    (void)json_object_set_new(
        view, "next", full ? json_integer(s->rows.rows[s->rows.count - 1].id) : json_null());
    api_reply(c, 200, view);
}

void api_audit_list(struct api_call *c)
{
    struct list_state *s = api_state(c, sizeof *s, list_state_clear);
    if (api_query_int(c, "before", 0, 1, INT64_MAX, &s->before) && api_query_limit(c, &s->limit))
        api_read(c, read_list, on_list);
}
