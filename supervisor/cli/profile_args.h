/* profile_args.h -- what `proctor profile` was asked for, here or at a console. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "supervisor/cli/args.h"

struct profile_args {
    const char *kind;
    const char *target;
    const char *output;
    int64_t duration_ms; /* 0: until stopped */
    int64_t interval;    /* us or bytes; 0: the default */
    int64_t instance;    /* -1: any */
    int64_t pid;         /* 0: the instances' own */
    bool as_json;
};

extern const struct arg_option profile_options[];

/* Returns an exit code (cmd.h), with the sentence said.  The strings are those of `args`. */
int profile_args_read(struct profile_args *p, const struct args *args);

/* The member of a request that carries the interval of a kind. */
const char *profile_interval_key(const char *kind);
