#include "remote/api.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/api_call.h"
#include "remote/api_routes.h"
#include "remote/assets.h"

static const struct api_route routes[] = {
#define X(method, path, access, changes, run) {method, path, access, changes, run},
    API_ROUTES(X)
#undef X
};

const struct api_route *api_route_at(size_t i)
{
    return i < ARRAY_SIZE(routes) ? &routes[i] : NULL;
}

/* ---- finding the route ----------------------------------------------------------------------- */

static void allow(char list[static 40], enum http_method method)
{
    const char *more = method == HTTP_GET ? "GET, HEAD" : http_method_name(method);
    size_t len = strlen(list);
    (void)snprintf(list + len, 40 - len, "%s%s", len ? ", " : "", more);
}

int api_route_find(enum http_method method, const char *path, const struct api_route **ret_route,
                   char *ret_params[static API_PARAMS], char ret_allow[static 40])
{
    enum http_method wanted = method == HTTP_HEAD ? HTTP_GET : method;
    ret_allow[0] = '\0';
    for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
        char *params[API_PARAMS];
        if (!api_path_match(routes[i].path, path, params))
            continue;
        if (routes[i].method == wanted) {
            memcpy(ret_params, params, sizeof params);
            *ret_route = &routes[i];
            return 0;
        }
        allow(ret_allow, routes[i].method);
        for (size_t p = 0; p < API_PARAMS; p++)
            free(params[p]);
    }
    return ret_allow[0] ? ERR_UNSUPPORTED : ERR_NOT_FOUND;
}

/* ---- a request's way ------------------------------------------------------------------------- */

/* The steps, in the order in which they run. */
static void find_route(struct api *api, struct http_request *r);
static void on_checked(void *arg, int r, const struct auth_who *who);
static bool may_run(struct api_call *c, const struct api_route *route);
static bool read_body(struct api_call *c);

void api_handle(void *arg, struct http_request *r)
{
    bool reads = r->method == HTTP_GET || r->method == HTTP_HEAD;
    if (str_starts(r->path, "/api/"))
        find_route(arg, r);
    else if (!reads || !assets_reply(r))
        http_reply_error(r, ERR_NOT_FOUND, "there is no such page");
}

/* For what only HTTP has a number for. */
static void reply_status(struct http_request *r, int status, const char *text)
{
    AUTOJSON json_t *body = api_error_body(http_error_of(status), text);
    http_reply_json(r, status, body);
}

static bool is_for_anyone(const char *path)
{
    for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
        if (routes[i].access == API_ANYONE && str_eq(routes[i].path, path))
            return true;
    return false;
}

size_t api_body_limit(const struct http_request *r)
{
    bool nobody = !r->cookie && !r->authorization;
    return nobody || is_for_anyone(r->path) ? LIMIT_HTTP_BODY_ANYONE : LIMIT_HTTP_BODY;
}

void api_refused(void *arg, const struct http_request *r, const char *text)
{
    const struct api *api = arg;
    auth_refused(api->auth, NULL, r->address, "request.refused", "%s %.300s: %s",
                 http_method_name(r->method), r->path, text);
}

static void find_route(struct api *api, struct http_request *r)
{
    char allowed[40];
    char *params[API_PARAMS] = {NULL};
    const struct api_route *route;
    int error = api_route_find(r->method, r->path, &route, params, allowed);
    if (error == ERR_UNSUPPORTED) {
        http_header(r, "Allow", allowed);
        reply_status(r, 405, "this path has no such method");
        return;
    }
    if (error < 0) {
        http_reply_error(r, error, "the API has no such path");
        return;
    }
    struct api_call *c = xcalloc(1, sizeof *c);
    c->api = api;
    c->request = r;
    c->route = route;
    memcpy(c->params, params, sizeof params);
    if (route->access == API_ANYONE)
        on_checked(c, 0, NULL);
    else
        auth_check(api->auth, r->cookie, r->authorization, r->address, on_checked, c);
}

/* `who` NULL: nobody, on a route for anyone. */
static void on_checked(void *arg, int r, const struct auth_who *who)
{
    struct api_call *c = arg;
    if (r == ERR_TOO_MANY)
        api_fail_wait(c, auth_token_wait_ms(c->api->auth, c->request->address));
    else if (r < 0)
        api_fail(c, r, NULL);
    else {
        if (who)
            c->who = *who;
        if (may_run(c, c->route) && read_body(c))
            c->route->run(c);
    }
}

static bool csrf_fits(const struct api_call *c)
{
    const char *given = c->request->csrf;
    return given && secret_equal(given, strlen(given), c->who.csrf, strlen(c->who.csrf));
}

/* False: replied. */
static bool may_run(struct api_call *c, const struct api_route *route)
{
    const struct http_request *r = c->request;
    bool anyone = route->access == API_ANYONE;
    if (!anyone && (int)c->who.role < (int)route->access) {
        api_fail(c, ERR_DENIED, "the role %s may not do this", role_name(c->who.role));
        return false;
    }
    if (!route->changes || (!anyone && !c->who.by_session))
        return true;
    if (!http_origin_allowed(r->origin, r->host)) {
        api_fail(c, ERR_DENIED, "the request comes from another site's page");
        return false;
    }
    if (!anyone && !csrf_fits(c)) {
        api_fail(c, ERR_DENIED, "the header %s is missing or not this session's", AUTH_CSRF_HEADER);
        return false;
    }
    return true;
}

/* ---- the body -------------------------------------------------------------------------------- */

static bool is_json_type(const char *type)
{
    static const char json[] = "application/json";
    size_t len = sizeof json - 1;
    return type && strncasecmp(type, json, len) == 0 && strchr("; \t", type[len]);
}

/* They are not needed any more, and passwords may be among them. */
static void clear_bytes(struct buf *bytes)
{
    secret_wipe(bytes->data, bytes->len);
    buf_clear(bytes);
}

/* Why the text is no object of ours. */
static void refuse_body(struct api_call *c)
{
    struct buf *bytes = &c->request->body;
    json_error_t error = {0};
    AUTOJSON json_t *any = json_loadb(bytes->data, bytes->len, JSON_REJECT_DUPLICATES, &error);
    clear_bytes(bytes);
    if (any && !json_is_object(any))
        api_fail(c, ERR_SYNTAX, "the body must be a JSON object");
    else if (any)
        api_fail(c, ERR_SYNTAX, "the body is nested more than %u levels deep", LIMIT_JSON_DEPTH);
    else
        api_fail(c, ERR_SYNTAX, "the body is not JSON: line %d, column %d: %s", error.line,
                 error.column, error.text);
}

/* Of POST: the object, empty without a body.  The bytes may hold a password, so they are wiped.  False: replied. */
static bool read_body(struct api_call *c)
{
    struct http_request *r = c->request;
    struct buf *bytes = &r->body;
    if (c->route->method != HTTP_POST)
        return true;
    if (bytes->len == 0) {
        c->body = json_object();
        return true;
    }
    if (!is_json_type(r->content_type)) {
        reply_status(r, 415, "the body's Content-Type must be application/json");
        api_call_free(c);
        return false;
    }
    c->body = json_object_parse(bytes->data, bytes->len);
    if (!c->body) {
        refuse_body(c);
        return false;
    }
    clear_bytes(bytes);
    return true;
}

/* Passwords, secrets: also those of a body that was refused. */
static void wipe_texts(json_t *body)
{
    const char *name;
    json_t *value;
    json_object_foreach(body, name, value) field_wipe(body, name);
}

void api_call_free(struct api_call *c)
{
    if (!c)
        return;
    if (c->clear_state)
        c->clear_state(c->state);
    free(c->state);
    for (size_t i = 0; i < API_PARAMS; i++)
        free(c->params[i]);
    wipe_texts(c->body);
    json_decref(c->body);
    secret_wipe(&c->who, sizeof c->who);
    free(c);
}

char *api_query(const struct http_request *r, const char *name)
{
    return api_query_member(r->query, name);
}
