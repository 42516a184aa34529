#include "remote/api_call.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "lib/base/uuid.h"

enum { ERROR_TEXT = 1024, PAGE_ROWS = 100 };

/* ---- the end of a call ----------------------------------------------------------------------- */

void api_reply(struct api_call *c, int status, json_t *body)
{
    http_reply_json(c->request, status, body);
    json_decref(body);
    api_call_free(c);
}

void api_reply_one(struct api_call *c, int status, const char *name, json_t *value)
{
    json_t *body = json_object();
    (void)json_object_set_new(body, name, value);
    api_reply(c, status, body);
}

json_t *api_error_body(int error, const char *text)
{
    json_t *inner = json_object(), *body = json_object();
    json_set_string(inner, "name", err_name(error));
    json_set_string(inner, "message", text);
    (void)json_object_set_new(body, "error", inner);
    return body;
}

/* Wrong tokens and enrolment strings are noted where they are found. */
static void note_refusal(const struct api_call *c, int status, const char *text)
{
    const struct http_request *r = c->request;
    if ((status != 403 && status != 429) || c->noted)
        return;
    const char *what = status == 403 ? "request.refused" : "request.slowed";
    auth_refused(c->api->auth, c->who.name, r->address, what, "%s %.300s: %s",
                 http_method_name(r->method), r->path, text);
}

static void fail_text(struct api_call *c, int error, const char *text)
{
    int status = http_status_of(error);
    if (status == 500 || status == 507)
        log_err(error, "%s %s: %s", http_method_name(c->request->method), c->request->path, text);
    note_refusal(c, status, text);
    api_reply(c, status, api_error_body(error, text));
}

void api_fail(struct api_call *c, int error, const char *fmt, ...)
{
    char text[ERROR_TEXT];
    va_list ap;
    if (error == ERR_TOO_MANY) {
        api_fail_wait(c, 0);
        return;
    }
    if (!fmt) {
        fail_text(c, error, err_str(error));
        return;
    }
    va_start(ap, fmt);
    (void)vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fail_text(c, error, text);
}

void api_fail_wait(struct api_call *c, int64_t wait_ms)
{
    char seconds[24], text[ERROR_TEXT];
    int64_t wait_s = wait_ms < 1000 ? 1 : (wait_ms + 999) / 1000;
    (void)snprintf(seconds, sizeof seconds, "%" PRId64, wait_s);
    (void)snprintf(text, sizeof text, "too many attempts, try again in %s s", seconds);
    http_header(c->request, "Retry-After", seconds);
    fail_text(c, ERR_TOO_MANY, text);
}

void api_fail_fields(struct api_call *c, const struct fields *f)
{
    api_fail(c, f->error, "%s", f->text);
}

enum role api_field_role(struct fields *f)
{
    enum role role = ROLE_VIEWER;
    const char *word = field_text(f, "role", FIELD_REQUIRED, 1, 32);
    if (word && role_parse(word, &role) < 0)
        field_refuse(f, "role", "must be viewer, operator or admin");
    return role;
}

/* ---- on the way ------------------------------------------------------------------------------ */

void *api_state(struct api_call *c, size_t size, void (*clear)(void *state))
{
    c->state = xcalloc(1, size);
    c->clear_state = clear;
    return c->state;
}

void api_read(struct api_call *c, store_work_cb work, store_done_cb done)
{
    store_read(c->api->store, work, done, c);
}

void api_write(struct api_call *c, store_work_cb work, store_done_cb done)
{
    store_write(c->api->store, work, done, c);
}

void api_note(const struct api_call *c, struct audit_row *row, const char *what, const char *fmt,
              ...)
{
    va_list ap;
    *row = (struct audit_row){.at_ms = loop_wall_ms()};
    (void)snprintf(row->who, sizeof row->who, "%s", c->who.name);
    (void)snprintf(row->address, sizeof row->address, "%s", c->request->address);
    (void)snprintf(row->what, sizeof row->what, "%s", what);
    va_start(ap, fmt);
    (void)vsnprintf(row->text, sizeof row->text, fmt, ap);
    va_end(ap);
}

bool api_param_uuid(struct api_call *c, const char *thing)
{
    if (uuid_valid(c->params[0]))
        return true;
    api_fail(c, ERR_NOT_FOUND, "there is no such %s: its id must be a UUID, in lower case", thing);
    return false;
}

/* ---- the query ------------------------------------------------------------------------------- */

bool api_query_text(struct api_call *c, const char *name, size_t max, char **ret_value)
{
    *ret_value = NULL;
    if (!api_query_has(c->request->query, name))
        return true;
    AUTOFREE char *value = api_query(c->request, name);
    if (value && value[0] && strlen(value) <= max) {
        *ret_value = TAKE(value);
        return true;
    }
    api_fail(c, ERR_INVALID, "\"%s\" of the query must be a text of 1 to %zu bytes", name, max);
    return false;
}

bool api_query_uuid(struct api_call *c, const char *name, char **ret_value)
{
    AUTOFREE char *value = NULL;
    if (!api_query_text(c, name, API_PARAM_MAX, &value))
        return false;
    if (value && !uuid_valid(value)) {
        api_fail(c, ERR_INVALID, "\"%s\" of the query must be a UUID, in lower case", name);
        return false;
    }
    *ret_value = TAKE(value);
    return true;
}

bool api_query_word(struct api_call *c, const char *name, char **ret_value)
{
    AUTOFREE char *value = NULL;
    if (!api_query_text(c, name, API_PARAM_MAX, &value))
        return false;
    if (value && !field_word_valid(value)) {
        api_fail(c, ERR_INVALID,
                 "\"%s\" of the query must be a word of small letters, digits and hyphens", name);
        return false;
    }
    *ret_value = TAKE(value);
    return true;
}

bool api_query_int(struct api_call *c, const char *name, int64_t fallback, int64_t min, int64_t max,
                   int64_t *ret_value)
{
    AUTOFREE char *value = NULL;
    *ret_value = fallback;
    if (!api_query_text(c, name, API_PARAM_MAX, &value))
        return false;
    if (!value || str_to_int(value, min, max, ret_value) == 0)
        return true;
    api_fail(c, ERR_INVALID,
             "\"%s\" of the query must be a whole number from %" PRId64 " to %" PRId64, name, min,
             max);
    return false;
}

bool api_query_limit(struct api_call *c, size_t *ret_limit)
{
    int64_t limit;
    if (!api_query_int(c, "limit", PAGE_ROWS, 1, LIMIT_PAGE_ROWS, &limit))
        return false;
    *ret_limit = (size_t)limit;
    return true;
}
