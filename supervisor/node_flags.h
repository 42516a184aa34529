/* node_flags.h -- what is put into a Node process's NODE_OPTIONS so that SIGUSR1 opens its inspector safely: on a random
 * loopback port whose path is told on stderr only.  Pure; facts: the measured table of flags per version. */
#pragma once

#include <stdbool.h>

struct runtime_version;
struct strlist;
struct app_spec;

enum inspector_flags {
    FLAGS_NONE,  /* nothing of ours: the inspector is not to be opened */
    FLAGS_OURS,  /* our flags are in place */
    FLAGS_USERS, /* the user's own options name the inspector or its port: nothing was added */
};

/* Appends our flags to NODE_OPTIONS in `env` for this version, as the app's settings (profiling, FORCE_INSPECTOR in
 * `env`) and the user's own options allow.  `*ret_user_opens` (set for FLAGS_USERS): the user's options open the
 * inspector at start (--inspect…). */
enum inspector_flags node_flags_apply(const struct runtime_version *version,
                                      const struct app_spec *spec, struct strlist *env,
                                      bool *ret_user_opens);

/* Why a process of this version and settings cannot be profiled, as a sentence; NULL when it can.  `*ret_error` is
 * then the code. */
const char *node_flags_refusal(const struct runtime_version *version, const struct app_spec *spec,
                               const struct strlist *env, int *ret_error);
