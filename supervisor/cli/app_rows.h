/* app_rows.h -- the answer of a request that is done to each instance at once: {"instances": [{"name", "instance", "error"?}]}. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

/* "DONE web-0, web-1" on standard output for those that have no error, or the answer as it is with `as_json`; a sentence for
 * each of the others.  Returns the exit code. */
int app_rows_print(const json_t *result, const char *done, bool as_json);
