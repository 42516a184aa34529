/* profile.h -- a profile in memory: the call tree and its functions, the same for every kind.
 *
 *     struct profile p;
 *     struct profile_error error;
 *     int r = profile_read(&p, text, len, &error);      text: the file, mapped or read
 *     …
 *     profile_clear(&p);
 *
 * The readers take foreign bytes: they are single-pass, never recurse, and need memory for nodes
 * and functions but not for samples. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "lib/profile/functions.h"

enum profile_kind {
    PROFILE_CPU,  /* V8 .cpuprofile: self and total are nanoseconds of wall time */
    PROFILE_HEAP, /* V8 .heapprofile: self and total are bytes */
};

#define PROFILE_NO_PARENT UINT32_MAX

struct profile_node {
    uint32_t parent;   /* PROFILE_NO_PARENT for the root, which is node 0 */
    uint32_t function; /* in functions.items */
    uint32_t end; /* the nodes below this one are those from its own number + 1 to before `end` */
    uint32_t samples; /* that hit this very node; 0 for a heap profile */
    uint64_t self;
    uint64_t total; /* self, and that of all nodes below */
};

struct profile {
    enum profile_kind kind;
    struct functions functions;
    struct profile_node *nodes; /* a parent before its children, each subtree in one piece */
    uint32_t node_count;
    /* Sums of self over all nodes and over V8's own; no more than INT64_MAX. */
    uint64_t all;
    uint64_t idle;
    uint64_t program;
    uint64_t gc;
    uint64_t duration_us; /* endTime - startTime; 0 for a heap profile */
    uint64_t sample_count;
    /* private */
    uint32_t node_cap;
};

/* Where and why a file was refused: one sentence without a full stop. */
struct profile_error {
    size_t offset;
    char text[200];
};

/* Reads a profile of either kind, which its content tells.  Returns 0; on failure nothing is to be
 * cleared, `*reterr` is filled, and the code is ERR_SYNTAX (no JSON), ERR_INVALID (JSON, but no
 * sound profile), ERR_TOO_BIG or -ENOMEM. */
int profile_read(struct profile *p, const char *text, size_t len, struct profile_error *reterr);

/* Frees everything; the profile is empty afterwards. */
void profile_clear(struct profile *p);

/* ---- for the readers ------------------------------------------------------------------------- */

/* Appends a node.  Returns 0, ERR_TOO_BIG past LIMIT_PROFILE_NODES, or -ENOMEM. */
int profile_add_node(struct profile *p, uint32_t parent, uint32_t function);

/* Computes `total` of every node and the sums. */
void profile_sum(struct profile *p);
