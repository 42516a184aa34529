/* api_captures.c -- starting, stopping, and listing captures. */
#include <stdlib.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/str.h"
#include "remote/api_call.h"
#include "remote/api_order.h"
#include "remote/api_routes.h"
#include "remote/dispatch.h"
#include "remote/store/captures.h"

static json_t *list_view(const struct capture_list *list)
{
    json_t *rows = json_array(), *view = json_object();
    for (size_t i = 0; i < list->count; i++)
        (void)json_array_append_new(rows, capture_view(&list->rows[i]));
    (void)json_object_set_new(view, "captures", rows);
    return view;
}

static void fail_with(struct api_call *c, int r, const char *text)
{
    api_fail(c, r, "%s", text && text[0] ? text : err_str(r));
}

/* ---- starting and stopping ------------------------------------------------------------------- */

/* An end that dispatch has brought about; it is noted, and then replied to. */
struct order_state {
    int status;   /* of the reply */
    json_t *view; /* the reply */
    struct audit_row note;
};

/* The steps, after dispatch. */
static void note_and_reply(struct api_call *c, int status, const char *what,
                           const struct capture_list *rows);
static int write_note(struct db *db, void *arg);
static void on_noted(void *arg, int result);

static void order_state_clear(void *state)
{
    const struct order_state *s = state;
    json_decref(s->view);
}

static void note_and_reply(struct api_call *c, int status, const char *what,
                           const struct capture_list *rows)
{
    struct order_state *s = c->state;
    s->status = status;
    s->view = list_view(rows);
    api_note(c, &s->note, what, "%s", "");
    capture_describe(rows, s->note.text, sizeof s->note.text);
    api_write(c, write_note, on_noted);
}

static int write_note(struct db *db, void *arg)
{
    struct api_call *c = arg;
    const struct order_state *s = c->state;
    return audit_add(db, &s->note);
}

/* What was ordered is on its way already: without its row in the log, too. */
static void on_noted(void *arg, int result)
{
    struct api_call *c = arg;
    struct order_state *s = c->state;
    if (result < 0)
        log_err(result, "cannot note in the audit log that %s did %s, ignoring", s->note.who,
                s->note.what);
    api_reply(c, s->status, TAKE(s->view));
}

static void on_started(void *arg, int r, const char *text, const struct capture_list *rows)
{
    struct api_call *c = arg;
    /* 202 also for an order that was sent again: what it started is what it wanted. */
    if (r < 0)
        fail_with(c, r, text);
    else
        api_reply(c, 202, list_view(rows));
}

void api_capture_start(struct api_call *c)
{
    char text[FIELD_SENTENCE];
    struct capture_order order;
    int r = order_parse(c->body, &order, text, sizeof text);
    if (r < 0) {
        api_fail(c, r, "%s", text);
        return;
    }
    struct audit_row note;
    api_note(c, &note, "capture.start", "%s", "");
    order.note = &note;
    order.requester = c->who.name;
    order.role = role_name(c->who.role);
    dispatch_start(c->api->dispatch, &order, on_started, c);
    order_clear(&order);
}

static void on_stopped(void *arg, int r, const char *text, const struct capture_list *rows)
{
    struct api_call *c = arg;
    bool cancel = str_ends(c->route->path, "/cancel");
    if (r < 0)
        fail_with(c, r, text);
    else if (rows->count > 0)
        note_and_reply(c, 200, cancel ? "capture.cancel" : "capture.stop", rows);
    else
        api_reply(c, 200, list_view(rows));
}

static void stop(struct api_call *c, bool cancel)
{
    if (!api_param_uuid(c, "capture"))
        return;
    (void)api_state(c, sizeof(struct order_state), order_state_clear);
    dispatch_stop(c->api->dispatch, c->params[0], cancel, on_stopped, c);
}

void api_capture_stop(struct api_call *c)
{
    stop(c, false);
}

void api_capture_cancel(struct api_call *c)
{
    stop(c, true);
}

/* ---- reading --------------------------------------------------------------------------------- */

struct list_state {
    char *host, *app, *kind, *state, *request, *before;
    size_t limit;
    struct capture_list rows;
};

static void list_state_clear(void *state)
{
    struct list_state *s = state;
    free(s->host);
    free(s->app);
    free(s->kind);
    free(s->state);
    free(s->request);
    free(s->before);
    capture_list_clear(&s->rows);
}

static int read_list(struct db *db, void *arg)
{
    struct api_call *c = arg;
    struct list_state *s = c->state;
    const struct capture_filter filter = {.host = s->host,
                                          .app = s->app,
                                          .kind = s->kind,
                                          .state = s->state,
                                          .request = s->request,
                                          .before = s->before,
                                          .limit = s->limit};
    return captures_list(db, &filter, &s->rows);
}

static void on_list(void *arg, int result)
{
    struct api_call *c = arg;
    const struct list_state *s = c->state;
    if (result < 0) {
        api_fail(c, result, NULL);
        return;
    }
    json_t *view = list_view(&s->rows);
    bool full = s->rows.count > 0 && s->rows.count == s->limit;
    json_t *next = full ? json_string(s->rows.rows[s->rows.count - 1].id) : json_null();
    (void)json_object_set_new(view, "next", next);
    api_reply(c, 200, view);
}

void api_captures(struct api_call *c)
{
    struct list_state *s = api_state(c, sizeof *s, list_state_clear);
    if (api_query_uuid(c, "host", &s->host) && api_query_text(c, "app", LIMIT_NAME, &s->app) &&
        api_query_word(c, "kind", &s->kind) && api_query_word(c, "state", &s->state) &&
        api_query_uuid(c, "order", &s->request) && api_query_uuid(c, "before", &s->before) &&
        api_query_limit(c, &s->limit))
        api_read(c, read_list, on_list);
}

static void clear_row(void *state)
{
    capture_row_clear(state);
}

static int read_one(struct db *db, void *arg)
{
    struct api_call *c = arg;
    return captures_get(db, c->params[0], c->state);
}

static void on_one(void *arg, int result)
{
    struct api_call *c = arg;
    if (result == 0)
        api_reply_one(c, 200, "capture", capture_view(c->state));
    else
        api_fail(c, result, result == ERR_NOT_FOUND ? "there is no such capture" : NULL);
}

void api_capture(struct api_call *c)
{
    if (!api_param_uuid(c, "capture"))
        return;
    (void)api_state(c, sizeof(struct capture_row), clear_row);
    api_read(c, read_one, on_one);
}
