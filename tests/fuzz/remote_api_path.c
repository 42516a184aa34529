/* Any line of a request as path, query and cookie: what comes out is bounded UTF-8 without NUL; nothing else happens. */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/mem.h"
#include "remote/api.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(char *text)
{
    if (text)
        assert(strlen(text) <= API_PARAM_MAX);
    free(text);
}

static void check_path(const char *path)
{
    for (enum http_method m = HTTP_GET; m <= HTTP_DELETE; m++) {
        const struct api_route *route = NULL;
        char *params[API_PARAMS] = {NULL};
        char allow[40];
        int r = api_route_find(m, path, &route, params, allow);
        assert((r == 0) == (route != NULL));
        for (size_t i = 0; i < API_PARAMS; i++) {
            assert(r == 0 || !params[i]);
            assert(!params[i] || params[i][0]);
            check_text(params[i]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTOFREE char *text = xstrndup((const char *)data, size);
    AUTOFREE char *cookie = api_cookie(text, AUTH_COOKIE);
    AUTOFREE char *path = xasprintf("/api/v1/%s", text);
    assert(!cookie || strlen(cookie) <= strlen(text));
    check_path(text);
    check_path(path);
    char *value = api_query_member(text, "host");
    assert(!value || api_query_has(text, "host"));
    check_text(value);
    return 0;
}
