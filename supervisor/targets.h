/* targets.h -- which instances a name on the command line means. */
#pragma once

#include <stddef.h>

struct instance;
struct strlist;
struct supervisor;

struct targets {
    struct instance **items; /* each once, in the order named */
    size_t count;
};

void targets_clear(struct targets *t);
#define AUTOTARGETS __attribute__((cleanup(targets_clear)))

enum { TARGETS_TEXT = 400 };

/* An app's name, `all`, a namespace, a pm_id, or `NAME-N`, in this order.  0, or ERR_NOT_FOUND with a sentence that names the nearest app. */
int targets_resolve(struct supervisor *sup, const struct strlist *names,
                    struct targets *ret_targets, char reterr_text[static TARGETS_TEXT]);
