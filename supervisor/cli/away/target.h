/* target.h -- which processes of a console's hosts a target means: APP, APP-N, APP@HOST, APP-N@HOST.  Pure. */
#pragma once

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct target_choice {
    const char *target;
    int64_t instance; /* --instance; -1: any */
    int64_t pid;      /* --pid; 0: none */
};

/* A new array of those of `processes` (as the API tells them) that are meant.  HOST is a host's name or id; without it all hosts
 * that have the app.  Of several, those without a process or on a host that is not connected are left out when others remain.
 * NULL with a sentence when nothing is meant, or --pid could be a child of more than one. */
json_t *target_select(const json_t *processes, const struct target_choice *choice,
                      char *reterr_text, size_t size);

/* "api-0@web1".  The caller frees. */
char *target_label(const json_t *process);
