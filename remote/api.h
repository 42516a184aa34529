/* api.h -- `/api/v1/…` and the page: which path and method does what, for whom.
 *
 * One table of routes says it all: method, path, the least role, whether it changes something (then a session needs its CSRF value and
 * our own Origin), and the handler.  remote/openapi.json describes the same to people and programs; a test holds the two together. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remote/api_path.h"
#include "remote/auth.h"
#include "remote/http.h"

struct analysis;
struct authority;
struct dispatch;
struct fleet;
struct history;
struct live;
struct logs;
struct store;

struct api {
    struct store *store;
    struct auth *auth;
    struct fleet *fleet;
    struct dispatch *dispatch;
    struct live *live;
    struct history *history;
    struct logs *logs;
    struct analysis *analysis;
    struct authority *authority;
    const char *name; /* of this console */
    const char *data_dir;
    char agents_address
        [300]; /* "host:port" that enrolled agents are told; set when the agent port is open */
};

/* One request that may be carried out: who asks is known and allowed.  A handler ends with one http_reply…(call->request, …) and
 * api_call_free(call). */
struct api_call {
    struct api *api;
    const struct api_route *route;
    struct http_request *request;
    struct auth_who who;
    char *params[API_PARAMS]; /* what stood at {…} in the path, percent-decoded; NULL: none */
    json_t *body;             /* of POST: an object, never NULL then */
    void *
        state; /* the handler's own: freed with the call, after `clear_state` (NULL: nothing to clear) */
    void (*clear_state)(void *state);
    bool noted; /* the refusal stands in the audit log */
};
void api_call_free(struct api_call *c);

enum api_access {
    API_ANYONE = -1,
    API_VIEWER = ROLE_VIEWER,
    API_OPERATOR = ROLE_OPERATOR,
    API_ADMIN = ROLE_ADMIN
};

struct api_route {
    enum http_method method;
    const char *path; /* "/api/v1/captures/{id}/stop" */
    enum api_access access;
    bool changes;
    void (*run)(struct api_call *call);
};

/* The rows (remote/api_routes.h): NULL past the last. */
const struct api_route *api_route_at(size_t i);

/* The row for a request, with what stood at {…}.  ERR_NOT_FOUND (no such path), or ERR_UNSUPPORTED (the path has other methods:
 * "GET, HEAD, POST" in `ret_allow`).  HEAD goes where GET goes. */
int api_route_find(enum http_method method, const char *path, const struct api_route **ret_route,
                   char *ret_params[static API_PARAMS], char ret_allow[static 40]);

/* http_handler_cb; `arg` is the struct api. */
void api_handle(void *arg, struct http_request *r);

/* Of struct http_settings: bodies are small where nobody has said who he is; what was refused is noted. */
size_t api_body_limit(const struct http_request *r);
void api_refused(void *arg, const struct http_request *r, const char *text);

/* A member of the query, percent-decoded, NULL when absent; the caller frees. */
char *api_query(const struct http_request *r, const char *name);
