/* api_call.h -- what the handlers of the API have in common: replies, work of the store, parameters, audit rows. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "remote/api.h"
#include "remote/api_fields.h"
#include "remote/store/accounts.h"
#include "remote/store/store.h"

/* ---- the end of a call: each replies, and frees the call -------------------------------------- */

/* Takes `body`; NULL with 204. */
void api_reply(struct api_call *c, int status, json_t *body);

/* {"<name>": value}, which is taken. */
void api_reply_one(struct api_call *c, int status, const char *name, json_t *value);

/* {"error": {…}}; `fmt` NULL: err_str().  An error of ours (status 500) is logged, a refusal (403, 429) noted in the audit log; 429 has
 * Retry-After. */
void api_fail(struct api_call *c, int error, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* ERR_TOO_MANY, with the time to wait. */
void api_fail_wait(struct api_call *c, int64_t wait_ms);

/* The sentence of a field that does not fit. */
void api_fail_fields(struct api_call *c, const struct fields *f);

/* The required member "role" of a body. */
enum role api_field_role(struct fields *f);

/* Its body. */
json_t *api_error_body(int error, const char *text);

/* ---- on the way ------------------------------------------------------------------------------ */

/* The handler's own memory, zeroed; `clear` (NULL: nothing to do) runs before it is freed with the call. */
void *api_state(struct api_call *c, size_t size, void (*clear)(void *state));

/* Work of the store with the call as its argument; in the thread it may look at params, who and state. */
void api_read(struct api_call *c, store_work_cb work, store_done_cb done);
void api_write(struct api_call *c, store_work_cb work, store_done_cb done);

/* An audit row about this call, to be added in the same work as what it tells of. */
void api_note(const struct api_call *c, struct audit_row *row, const char *what, const char *fmt,
              ...) __attribute__((format(printf, 4, 5)));

/* Is params[0] a UUID?  False: replied, there is no such `thing`. */
bool api_param_uuid(struct api_call *c, const char *thing);

/* A member of the query that is a UUID (a word: field_word_valid(); or any text up to `max` bytes), NULL when absent, owned by the
 * caller.  False: replied. */
bool api_query_uuid(struct api_call *c, const char *name, char **ret_value);
bool api_query_word(struct api_call *c, const char *name, char **ret_value);
bool api_query_text(struct api_call *c, const char *name, size_t max, char **ret_value);
bool api_query_int(struct api_call *c, const char *name, int64_t fallback, int64_t min, int64_t max,
                   int64_t *ret_value);

/* `limit` of a list: 1 to LIMIT_PAGE_ROWS, 100 when absent.  False: replied. */
bool api_query_limit(struct api_call *c, size_t *ret_limit);
