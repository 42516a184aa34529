/* openapi.h -- remote/openapi.json, linked into the program. */
#pragma once

#include <stddef.h>

/* `*ret_len` bytes of JSON, there for ever. */
const char *openapi_text(size_t *ret_len);
