/* api_path.h -- paths, queries and cookies of requests: matched, decoded, looked up.  Foreign bytes; pure. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { API_PARAMS = 2, API_PARAM_MAX = 256 };

/* The text with its %XX decoded (`plus`: and '+' as a blank); NULL when it is malformed, holds a NUL, is not UTF-8 or has more than
 * API_PARAM_MAX bytes.  The caller frees. */
char *api_decode(const char *text, size_t len, bool plus);

/* Does `path` fit the pattern "/api/v1/captures/{id}/stop"?  Each {…} takes one piece that is not empty, decoded into `ret_params` in
 * order (the caller frees; NULL: unused).  When it does not fit nothing is written. */
bool api_path_match(const char *pattern, const char *path, char *ret_params[static API_PARAMS]);

/* A member of "a=1&b=%41", the first of that name; NULL: absent or malformed.  The caller frees. */
char *api_query_member(const char *query, const char *name);

/* Is there a member of that name at all? */
bool api_query_has(const char *query, const char *name);

/* The value of a cookie in a Cookie header, the first of that name, as it stands there; NULL: absent.  The caller frees. */
char *api_cookie(const char *header, const char *name);
