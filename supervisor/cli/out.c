#include "supervisor/cli/out.h"

#include <stdio.h>

void out_json(const json_t *j)
{
    /* 15 digits: 0.1 stays 0.1. */
    (void)json_dumpf(j, stdout, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    (void)fputc('\n', stdout);
}
