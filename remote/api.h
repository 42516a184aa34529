/* api.h -- `/api/v1/…` and the page: which path and method does what, for whom.
 *
 * One table of routes says it all: method, path, the least role, whether it changes something (then a session needs its CSRF value and
 * our own Origin), and the handler.  remote/openapi.json describes the same to people and programs; a test holds the two together. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remote/auth.h"
#include "remote/http.h"

struct analysis;
struct authority;
struct dispatch;
struct fleet;
struct live;
struct store;

struct api {
    struct store *store;
    struct auth *auth;
    struct fleet *fleet;
    struct dispatch *dispatch;
    struct live *live;
    struct analysis *analysis;
    struct authority *authority;
    const char *name;           /* of this console */
    const char *data_dir;
    char agents_address[300];   /* "host:port" that enrolled agents are told; set when the agent port is open */
};

/* One request that may be carried out: who asks is known and allowed.  A handler ends with one http_reply…(call->request, …) and
 * api_call_free(call). */
struct api_call {
    struct api *api;
    struct http_request *request;
    struct auth_who who;
    char *params[2]; /* what stood at {…} in the path, percent-decoded; NULL: none */
    json_t *body;    /* of POST: an object, never NULL then */
    void *state;     /* the handler's own */
};
void api_call_free(struct api_call *c);

enum api_access { API_ANYONE = -1, API_VIEWER = ROLE_VIEWER, API_OPERATOR = ROLE_OPERATOR, API_ADMIN = ROLE_ADMIN };

struct api_route {
    enum http_method method;
    const char *path; /* "/api/v1/captures/{id}/stop" */
    enum api_access access;
    bool changes;
    void (*run)(struct api_call *call);
};

/* The rows, for the test: NULL past the last. */
const struct api_route *api_route_at(size_t i);

/* http_handler_cb; `arg` is the struct api. */
void api_handle(void *arg, struct http_request *r);

/* A member of the query, percent-decoded, NULL when absent; the caller frees. */
char *api_query(const struct http_request *r, const char *name);

/* Notes something in the audit log; a failure is logged and changes nothing. */
void api_audit(struct api *api, const char *who, const char *address, const char *what, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
