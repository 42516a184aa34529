/* limits.h -- what a keeper asks of the kernel for itself, and what its children get: as it was started. */
#pragma once

#include <stdbool.h>
#include <sys/resource.h>

struct keep_limits {
    struct rlimit nofile;
    char oom_score_adj[16];
};

void keep_limits_remember(struct keep_limits *l);
/* `ours`: as many descriptors as can be, and, when that is allowed, out of reach of the OOM killer. */
void keep_limits_set(const struct keep_limits *l, bool ours);
