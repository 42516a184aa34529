/* api_order.h -- the body of POST /api/v1/captures as an order.  Foreign bytes; pure. */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "remote/dispatch.h"

/* Fills everything but `requester` and `role`.  Texts are borrowed from the body, the list of targets is the order's.  0, or ERR_INVALID
 * with a sentence that names the field; then `*ret_order` is not touched. */
int order_parse(const json_t *body, struct capture_order *ret_order, char *reterr_text,
                size_t size);
void order_clear(struct capture_order *order);
