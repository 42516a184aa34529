/* out.h -- JSON on standard output. */
#pragma once

#include <jansson.h>

/* Compact, with a newline. */
void out_json(const json_t *j);
