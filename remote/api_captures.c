/* api_captures.c -- starting, stopping, and listing captures. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "remote/api_call.h"
#include "remote/api_order.h"
#include "remote/api_routes.h"
#include "remote/dispatch.h"
#include "remote/store/captures.h"

enum { NOTE_TEXT = 800 };

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

/* An order that dispatch carries out; it is noted, and then replied to. */
struct order_state {
    int64_t asked_ms;
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

/* "cpu of api-0 on web1, api-1 on web1 … (order ID)" */
static void describe(char *out, size_t size, const struct capture_list *rows)
{
    AUTOBUF struct buf text = BUF_INIT(NOTE_TEXT);
    const struct capture_row *first = &rows->rows[0];
    int r = buf_addf(&text, "%s of", first->kind);
    for (size_t i = 0; r == 0 && i < rows->count; i++)
        r = buf_addf(&text, "%s %s-%lld on %s", i ? "," : "", rows->rows[i].app,
                     (long long)rows->rows[i].instance, rows->rows[i].host_name);
    (void)snprintf(out, size, "%s%s (order %s)", buf_str(&text), r < 0 ? " …" : "", first->request);
}

static void note_and_reply(struct api_call *c, int status, const char *what,
                           const struct capture_list *rows)
{
    struct order_state *s = c->state;
    s->status = status;
    s->view = list_view(rows);
    api_note(c, &s->note, what, "%s", "");
    describe(s->note.text, sizeof s->note.text, rows);
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
    const struct order_state *s = c->state;
    if (r < 0)
        fail_with(c, r, text);
    else if (rows->count > 0 && rows->rows[0].created_ms >= s->asked_ms)
        note_and_reply(c, 202, "capture.start", rows);
    else /* rows older than the request: it was sent again */
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
    struct order_state *s = api_state(c, sizeof *s, order_state_clear);
    s->asked_ms = loop_wall_ms();
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
