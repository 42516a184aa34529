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

int api_status(int error)
{
    switch (error) {
    case ERR_INVALID:
    case ERR_SYNTAX:
    case ERR_USAGE:
        return 400;
    case ERR_LOGIN:
        return 401;
    case ERR_DENIED:
    case ERR_POLICY:
        return 403;
    case ERR_NOT_FOUND:
        return 404;
    case ERR_EXISTS:
    case ERR_NOT_RUNNING:
    case ERR_UNSUPPORTED:
    case ERR_UNSUPPORTED_VERSION:
    case ERR_REVOKED:
    case ERR_EXPIRED:
    case ERR_CANCELLED:
        return 409;
    case ERR_TOO_BIG:
        return 413;
    case ERR_TOO_MANY:
        return 429;
    case ERR_BUSY:
    case ERR_UNREACHABLE:
    case ERR_STOPPING:
    case ERR_NOT_READY:
    case -ETIMEDOUT:
        return 503;
    case -ENOSPC:
        return 507;
    }
    return 500;
}

json_t *api_error_body(int error, const char *text)
{
    json_t *inner = json_object(), *body = json_object();
    json_set_string(inner, "name", err_name(error));
    json_set_string(inner, "message", text);
    (void)json_object_set_new(body, "error", inner);
    return body;
}

static void fail_text(struct api_call *c, int error, const char *text)
{
    int status = api_status(error);
    if (status == 500 || status == 507)
        log_err(error, "%s %s: %s", http_method_name(c->request->method), c->request->path, text);
    api_reply(c, status, api_error_body(error, text));
}

void api_fail(struct api_call *c, int error, const char *fmt, ...)
{
    char text[ERROR_TEXT];
    va_list ap;
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
    char seconds[24];
    int64_t wait_s = wait_ms < 1000 ? 1 : (wait_ms + 999) / 1000;
    (void)snprintf(seconds, sizeof seconds, "%" PRId64, wait_s);
    http_header(c->request, "Retry-After", seconds);
    api_fail(c, ERR_TOO_MANY, "too many attempts, try again in %s s", seconds);
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
