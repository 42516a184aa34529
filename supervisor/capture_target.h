/* capture_target.h -- which process a request for a capture means, and whether it may be captured now. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct instance;
struct supervisor;

/* `params` of `probe.start`; `local`: somebody on this host has asked.  0, or a negative code and a sentence for people. */
int capture_target_find(struct supervisor *sup, const json_t *params, bool local,
                        struct instance **ret_instance, pid_t *ret_pid, char *reterr_text,
                        size_t size);
