/* capture_select.h -- which processes `profile` captures, out of an app.list answer.  Pure. */
#pragma once

#include <jansson.h>
#include <stdint.h>

struct capture_choice {
    int64_t instance; /* --instance; -1: any */
    int64_t owner;    /* the pid of the instance that --pid belongs to; 0: no --pid */
};

/* A new array of the apps' members that are meant.  Of several instances those without a process
 * are left out; a single one stays, so that the supervisor says what is wrong with it. */
json_t *capture_select(const json_t *apps, const struct capture_choice *choice);
