/* kind.h -- the kinds of captures as a table: which requests start and stop them. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

struct capture_order;

struct kind {
    const char *name;
    const char *enable;       /* NULL: nothing is captured */
    const char *set_interval; /* NULL: there is none */
    const char *start;
    const char *stop;
    const char *disable;
    bool wants_idle; /* old versions of Node need help to tell idle time from native code */
    const char *
        busy_text; /* the inspector's words at `stop` when another client took our data; NULL: none */

    /* The caller owns what they return; NULL: no parameters. */
    json_t *(*interval_params)(const struct capture_order *order);
    json_t *(*start_params)(const struct capture_order *order);
};

/* NULL when we have no such kind. */
const struct kind *kind_find(const char *name);

/* Does an idle notifier have to run beside this kind on that version? */
bool kind_needs_idle_notifier(const struct kind *k, int node_major);
