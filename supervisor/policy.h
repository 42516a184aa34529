/* policy.h -- what this host lets be captured: $PROCTOR_HOME/policy.json, enforced by the supervisor alone.
 *
 *     {"kinds": ["cpu", "heap"], "max_duration": "5m", "apps": ["api", "web*"], "legacy": true,
 *      "roles": ["operator", "admin"], "logs": true}
 *
 * Without the file: cpu, heap and stack, up to 5 minutes, all apps, Node 8 and 10 too, and a console's operators and admins
 * may do the same as people here; whoever may look at the console sees the ends of logs.  The file is read again whenever it has changed; one that cannot be read refuses
 * everything. */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#include "lib/base/str.h"

struct policy {
    char *path;
    bool loaded;
    bool exists;
    struct timespec mtime;
    long long size;
    char *broken; /* why the file cannot be used; NULL: it can */
    struct strlist kinds;
    struct strlist apps;  /* shell patterns; empty: all */
    struct strlist roles; /* of a console's accounts; empty: no console may capture here */
    int64_t max_duration_ms;
    bool logs;   /* a console may read the apps' output */
    bool legacy; /* Node 8 and 10, whose inspector any local user can find while it is open */
};

void policy_init(struct policy *p, const char *path);
void policy_clear(struct policy *p);

/* Reads `text` (NULL: the defaults).  Returns 0 or ERR_INVALID with a sentence in p->broken.  Pure. */
int policy_read(struct policy *p, const char *text, size_t len);

/* Looks whether the file has changed, and reads it then. */
void policy_refresh(struct policy *p);

/* May this be captured? */
struct policy_ask {
    const char *kind;
    const char *app;
    int64_t duration_ms; /* 0: until stopped */
    int node_major;      /* 0: unknown */
    bool away;        /* a console asks: roles count, and the sentence names no file of this host */
    const char *role; /* of the console's account; NULL: of none in particular */
};

/* 0, or ERR_POLICY with a sentence that begins with "the policy of this host".  As the file was at policy_refresh(). */
int policy_check(const struct policy *p, const struct policy_ask *ask, char *reterr_text,
                 size_t size);

/* May a console read logs?  The same. */
int policy_check_logs(const struct policy *p, char *reterr_text, size_t size);
