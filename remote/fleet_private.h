/* fleet_private.h -- what fleet.c and fleet_source.c share; nobody else includes it.
 *
 * fleet.c keeps the hosts; fleet_source.c makes lists of them for clients, piece by piece. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/list.h"
#include "remote/fleet.h"

enum { FLEET_BUCKETS = 4096 };

/* A list of processes as its host told it: never changed, so that clients in the middle of it keep
 * it while the next one is there. */
struct told {
    unsigned refs;
    bool old;      /* there is a newer one: counted in fleet->old_bytes */
    int processes; /* their number */
    int64_t at_ms; /* by the host's clock */
    size_t len;
    char text[]; /* of processes_take(), NUL-terminated */
};

struct host {
    struct list link;
    struct host_row row;
    bool connected;
    bool captures;         /* it can be told to capture */
    bool untold;           /* viewers do not know the newest list */
    uint64_t published_ms; /* when they were told one last, by uv_hrtime(); 0: never */
    int64_t since_ms;      /* of `connected`; 0: not since we started */
    struct told *told;     /* NULL: it has told none */
};

struct fleet {
    struct store *store;
    struct live *live;
    struct list buckets[FLEET_BUCKETS]; /* of struct host, by id; none leaves but at the end */
    struct list sources;                /* of struct fleet_source */
    size_t old_bytes;
    size_t untold; /* hosts */
    void (*on_revoked)(void *arg, const char *host);
    void *revoked_arg;
};

struct host *fleet_find(const struct fleet *f, const char *id);
json_t *fleet_host_view(const struct host *h);

struct told *fleet_told_ref(struct told *t);
void fleet_told_unref(struct fleet *f, struct told *t); /* NULL is fine */

/* What each process of the host has besides what it told: its text, to be put before the closing
 * brace; returns its length, which `size` has room for. */
enum { FLEET_SUFFIX = 2048 };
size_t fleet_suffix(const struct host *h, const struct told *t, char *out, size_t size);

/* ---- fleet_source.c -------------------------------------------------------------------------- */

/* Cuts off those that hold old lists. */
void fleet_sources_cut(struct fleet *f);
