/* gate.h -- may a capture be taken of an instance: what can be told at once, without looking into /proc.
 *
 * What needs a look (whose stderr, whose child, the port) is captures.c's and inspector.c's. */
#pragma once

#include <stddef.h>

struct instance;
struct policy_ask;

/* The policy as last read (policy_refresh()), the state of the instance, its runtime and settings.  Of `ask` the fields `app`
 * and `node_major` are filled in here.  0, or an error with a sentence. */
int gate_check(const struct instance *in, const struct policy_ask *ask, char *reterr_text,
               size_t size);
