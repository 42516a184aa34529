/* api_routes.h -- the routes of the API: method, path, least role, whether it changes something, handler.
 *
 * remote/openapi.json says the same; the unit test remote_api holds the two together. */
#pragma once

#include "remote/api.h"

// clang-format off
#define API_ROUTES(X)                                                                              \
    X(HTTP_GET,    "/api/v1/health",                  API_ANYONE,   false, api_health)             \
    X(HTTP_GET,    "/api/v1/openapi.json",            API_ANYONE,   false, api_openapi)            \
    X(HTTP_POST,   "/api/v1/enrol",                   API_ANYONE,   true,  api_enrol)              \
    X(HTTP_POST,   "/api/v1/login",                   API_ANYONE,   true,  api_login)              \
    X(HTTP_POST,   "/api/v1/logout",                  API_VIEWER,   true,  api_logout)             \
    X(HTTP_GET,    "/api/v1/session",                 API_VIEWER,   false, api_session)            \
    X(HTTP_POST,   "/api/v1/password",                API_VIEWER,   true,  api_password)           \
    X(HTTP_GET,    "/api/v1/hosts",                   API_VIEWER,   false, api_hosts)              \
    X(HTTP_GET,    "/api/v1/hosts/{id}",              API_VIEWER,   false, api_host)               \
    X(HTTP_POST,   "/api/v1/hosts/{id}/revoke",       API_ADMIN,    true,  api_host_revoke)        \
    X(HTTP_GET,    "/api/v1/processes",               API_VIEWER,   false, api_processes)          \
    X(HTTP_GET,    "/api/v1/series",                  API_VIEWER,   false, api_series)             \
    X(HTTP_GET,    "/api/v1/exits",                   API_VIEWER,   false, api_exits)              \
    X(HTTP_GET,    "/api/v1/logs",                    API_VIEWER,   false, api_logs)               \
    X(HTTP_GET,    "/api/v1/captures",                API_VIEWER,   false, api_captures)           \
    X(HTTP_POST,   "/api/v1/captures",                API_OPERATOR, true,  api_capture_start)      \
    X(HTTP_GET,    "/api/v1/captures/{id}",           API_VIEWER,   false, api_capture)            \
    X(HTTP_POST,   "/api/v1/captures/{id}/stop",      API_OPERATOR, true,  api_capture_stop)       \
    X(HTTP_POST,   "/api/v1/captures/{id}/cancel",    API_OPERATOR, true,  api_capture_cancel)     \
    X(HTTP_GET,    "/api/v1/profiles",                API_VIEWER,   false, api_profiles)           \
    X(HTTP_GET,    "/api/v1/profiles/{id}",           API_VIEWER,   false, api_profile)            \
    X(HTTP_GET,    "/api/v1/profiles/{id}/raw",       API_VIEWER,   false, api_profile_download)   \
    X(HTTP_GET,    "/api/v1/profiles/{id}/top",       API_VIEWER,   false, api_profile_top)        \
    X(HTTP_GET,    "/api/v1/profiles/{id}/tree",      API_VIEWER,   false, api_profile_tree)       \
    X(HTTP_POST,   "/api/v1/profiles/{id}/keep",      API_OPERATOR, true,  api_profile_keep)       \
    X(HTTP_DELETE, "/api/v1/profiles/{id}",           API_OPERATOR, true,  api_profile_remove)     \
    X(HTTP_GET,    "/api/v1/users",                   API_ADMIN,    false, api_users)              \
    X(HTTP_POST,   "/api/v1/users",                   API_ADMIN,    true,  api_user_add)           \
    X(HTTP_POST,   "/api/v1/users/{name}/role",       API_ADMIN,    true,  api_user_role)          \
    X(HTTP_POST,   "/api/v1/users/{name}/password",   API_ADMIN,    true,  api_user_password)      \
    X(HTTP_DELETE, "/api/v1/users/{name}",            API_ADMIN,    true,  api_user_remove)        \
    X(HTTP_GET,    "/api/v1/tokens",                  API_ADMIN,    false, api_tokens)             \
    X(HTTP_POST,   "/api/v1/tokens",                  API_ADMIN,    true,  api_token_add)          \
    X(HTTP_DELETE, "/api/v1/tokens/{id}",             API_ADMIN,    true,  api_token_remove)       \
    X(HTTP_POST,   "/api/v1/enrolments",              API_ADMIN,    true,  api_enrolment_add)      \
    X(HTTP_GET,    "/api/v1/audit",                   API_ADMIN,    false, api_audit_list)
// clang-format on

#define X(method, path, access, changes, run) void run(struct api_call *call);
API_ROUTES(X)
#undef X

/* What follows when a download is noted. */
void api_profile_raw(struct api_call *call);
