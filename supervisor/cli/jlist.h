/* jlist.h -- PM2's `jlist` from an app.list answer: the same names, types and words.  Pure. */
#pragma once

#include <jansson.h>

struct jlist_host {
    const char *home;     /* $PROCTOR_HOME */
    const char *username; /* who runs the supervisor */
};

/* `apps`: the array of an app.list answer with detail.  A new reference. */
json_t *jlist_from_apps(const json_t *apps, const struct jlist_host *host);
