/* api_meta.c -- about the API itself. */
#include "lib/base/json.h"
#include "remote/api_call.h"
#include "remote/api_routes.h"
#include "remote/openapi.h"

void api_health(struct api_call *c)
{
    json_t *j = json_object();
    json_set_bool(j, "ok", true);
    api_reply(c, 200, j);
}

void api_openapi(struct api_call *c)
{
    size_t len;
    const char *text = openapi_text(&len);
    http_reply(c->request, 200, "application/json", text, len);
    api_call_free(c);
}
