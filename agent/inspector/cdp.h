/* cdp.h -- the messages of the Chrome DevTools Protocol, as text: requests that we send, small messages that come back.
 *
 * Node 22 crashes on a text frame that is not valid JSON, and every version on the list drops a socket that sends large
 * or odd frames; so there is one place that makes them. */
#pragma once

#include <jansson.h>
#include <stdint.h>

struct buf;

struct cdp_message {
    json_t *root;           /* owns everything below */
    int64_t id;             /* 0: an event */
    const char *method;     /* of an event */
    json_t *result;         /* NULL for an event and an error */
    const char *error_text; /* NULL: no error */
};

/* Appends one request.  `id` > 0; `params` is borrowed, NULL: none.  Returns 0 or ERR_TOO_BIG. */
int cdp_request(struct buf *out, int64_t id, const char *method, json_t *params);

/* Parses a whole message.  Returns 0 or ERR_SYNTAX. */
int cdp_parse(const char *text, size_t len, struct cdp_message *ret_message);
void cdp_message_clear(struct cdp_message *m);
#define AUTOCDP __attribute__((cleanup(cdp_message_clear)))

/* The parameters of Runtime.evaluate for `expression`: no exception pauses, no console noise, the value by value.  The
 * caller owns them. */
json_t *cdp_evaluate_params(const char *expression);

/* The integer that an evaluate returned; 0 when it returned anything else. */
int64_t cdp_evaluate_int(const json_t *result);
