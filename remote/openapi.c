#include "remote/openapi.h"

/* In openapi_file.S. */
extern const char openapi_begin[], openapi_end[];

const char *openapi_text(size_t *ret_len)
{
    *ret_len = (size_t)(openapi_end - openapi_begin);
    return openapi_begin;
}
