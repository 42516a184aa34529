#include "agent/inspector/cdp.h"

#include <assert.h>
#include <stddef.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"

int cdp_request(struct buf *out, int64_t id, const char *method, json_t *params)
{
    assert(id > 0);
    AUTOJSON json_t *request = json_object();
    json_set_int(request, "id", id);
    json_set_string(request, "method", method);
    if (params)
        (void)json_object_set(request, "params", params);
    return json_to_buf(request, out);
}

int cdp_parse(const char *text, size_t len, struct cdp_message *ret_message)
{
    json_t *root = json_object_parse(text, len);
    if (!root)
        return ERR_SYNTAX;
    json_t *error = json_object_get(root, "error");
    *ret_message = (struct cdp_message){
        .root = root,
        .id = json_get_int(root, "id", 0),
        .method = json_get_string(root, "method", NULL),
        .result = error ? NULL : json_object_get(root, "result"),
        .error_text = error ? json_get_string(error, "message", "an error without a text") : NULL,
    };
    return 0;
}

void cdp_message_clear(struct cdp_message *m)
{
    json_decref(m->root);
    *m = (struct cdp_message){0};
}

json_t *cdp_evaluate_params(const char *expression)
{
    json_t *params = json_object();
    json_set_string(params, "expression", expression);
    json_set_bool(params, "returnByValue", true);
    json_set_bool(params, "silent", true);
    return params;
}

int64_t cdp_evaluate_int(const json_t *result)
{
    return json_get_int(json_object_get(result, "result"), "value", 0);
}
