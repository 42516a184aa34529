/* fleet.h -- the hosts as they are now: who is connected, and what runs there.  In memory; hosts themselves are rows of the store.
 *
 * What the agents tell is foreign: a list of processes is looked at field by field, bounded, and kept as our own JSON. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/base/uuid.h"
#include "remote/store/hosts.h"

struct fleet;
struct http_source;
struct live;
struct store;

struct fleet *fleet_new(struct store *store, struct live *live);
void fleet_free(struct fleet *f);

/* Reads the hosts from the store, at the start and whenever somebody else changed it; `done` (may be NULL) comes later.  Hosts that
 * are newly revoked are reported to `on_revoked`. */
void fleet_load(struct fleet *f, void (*done)(void *arg, int r), void *arg);
void fleet_on_revoked(struct fleet *f, void (*on_revoked)(void *arg, const char *host), void *arg);

/* A host that was just enrolled, revoked by us, or renewed. */
void fleet_put(struct fleet *f, const struct host_row *row);

/* Borrowed; NULL: no such host.  A revoked one is there, too. */
const struct host_row *fleet_get(const struct fleet *f, const char *host);
bool fleet_connected(const struct fleet *f, const char *host);

/* Since when it is connected, or is not; 0 when it never was. */
int64_t fleet_since_ms(const struct fleet *f, const char *host);

/* What the agent says. `hello` is its message; false: it left. */
void fleet_set_connected(struct fleet *f, const char *host, bool connected, const json_t *hello,
                         int64_t now_ms);
/* The message `processes`: 0, or ERR_INVALID with a sentence. */
int fleet_set_processes(struct fleet *f, const char *host, const json_t *message, char *reterr_text,
                        size_t size);

/* Once a second: viewers are told the newest lists of hosts that told more than one within a second. */
void fleet_tick(struct fleet *f);

/* For the API, newest facts.  HOST: id, name, release, connected, since_ms (of the present state), seen_ms,
 * enrolled_ms, revoked, certificate_until_ms, processes (their number).  PROCESS as in docs/PROTOCOL.md, with host, host_name, at_ms and
 * `stale` (the host is not connected any more). */
json_t *fleet_host(const struct fleet *f, const char *host); /* the caller's; NULL: none */

/* {"hosts":[HOST]} and {"processes":[PROCESS]} (`host` NULL: of all), for http_reply_source() with HTTP_LENGTH_UNKNOWN: made while they
 * are taken, so that a host that changes meanwhile may be told as it was or as it is, but each only once and as a whole.  Not closed,
 * they must not outlive the fleet. */
struct http_source *fleet_hosts_source(struct fleet *f);
struct http_source *fleet_processes_source(struct fleet *f, const char *host);

/* Can this be captured there, as far as we know?  0, ERR_NOT_FOUND (no such host, app or instance), ERR_REVOKED, ERR_UNSUPPORTED with the
 * host's own sentence. A host that is not connected is fine: the command waits. */
int fleet_check_target(const struct fleet *f, const char *host, const char *app, int64_t instance,
                       const char *kind, char *reterr_text, size_t size);
