/* dispatch.h -- the captures that were asked for here: given to their hosts, followed, and ended in every case.
 *
 *     queued ──(host connected)──► sent ──(its record)──► running … ──► done, partial, failed, cancelled, expired
 *
 * A row is in the store before anything is sent.  A command that its host did not take by `not_after_ms` expires.  One whose end has not
 * come 30 s after its limit is ended here (failed, UNREACHABLE or ETIMEDOUT, `given_up`); when the host's own end comes after all, with
 * its result, that replaces ours: nothing is lost.  After a start of the console nothing is given up for the first 60 s.
 *
 * In memory are those that have not ended, and those whose end is not on disk yet; the others are looked up when their host tells of
 * them.  A host that comes is asked for all whose result is owed or whose end only we have said; what it does not know any more is
 * lost.  The captures of a host that is revoked end at once.  When the wall clock is set, all times that are waited for go with it. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "remote/store/captures.h"

struct audit_row;
struct dispatch;
struct fleet;
struct live;
struct store;

struct capture_target {
    const char *host;
    const char *app;
    int64_t instance;
    int64_t pid; /* 0: the instance's own */
};

struct capture_order {
    const char *id; /* UUIDv7, made by the requester: the same again is the same order */
    const char *kind;
    int64_t duration_ms; /* 0: until stopped */
    int64_t interval_us;
    int64_t interval_bytes;
    int64_t wait_ms; /* how long it may wait for its host; 0: 60 s */
    const struct capture_target *targets;
    size_t target_count;
    const char *requester;
    const char *role;
    const struct audit_row *
        note; /* goes into the store with the captures, its text filled in; NULL: nothing is noted */
};

/* `r` 0: the rows of the order (borrowed); 1: likewise, but it was given before, and nothing is new.  Else an error with a sentence: ERR_INVALID, ERR_NOT_FOUND, ERR_UNSUPPORTED, ERR_EXISTS (the id
 * was used for another order), ERR_NOT_RUNNING, or the store's. */
typedef void (*dispatch_cb)(void *arg, int r, const char *text, const struct capture_list *rows);

struct dispatch *dispatch_new(uv_loop_t *loop, struct store *store, struct fleet *fleet,
                              struct live *live);
/* Reads what was open when the console ended. */
void dispatch_load(struct dispatch *d, void (*done)(void *arg, int r), void *arg);
void dispatch_close(struct dispatch *d); /* stops its timer; then dispatch_free() */
void dispatch_free(struct dispatch *d);

/* All targets or none.  `done` comes later, when the rows are committed. */
void dispatch_start(struct dispatch *d, const struct capture_order *order, dispatch_cb done,
                    void *arg);

/* `id`: of a capture, or of an order: all of its captures that have not ended.  Stop keeps the result, cancel drops it. */
void dispatch_stop(struct dispatch *d, const char *id, bool cancel, dispatch_cb done, void *arg);

/* ---- between it and the agents' connections ---------------------------------------------------- */

/* How a connected host is spoken to: sends the message, false when it is not connected; and whether its hello named this capability
 * ("capture", "blob").  `takes` NULL: each names all. */
typedef bool (*dispatch_send_cb)(void *arg, const char *host, const char *type, json_t *fields);
typedef bool (*dispatch_takes_cb)(void *arg, const char *host, const char *capability);
void dispatch_on_send(struct dispatch *d, dispatch_send_cb send, dispatch_takes_cb takes,
                      void *arg);

/* The host is connected: what waits for it is sent, and what we lost track of is asked for. */
void dispatch_host_open(struct dispatch *d, const char *host);
/* It will never be let in again. */
void dispatch_host_revoked(struct dispatch *d, const char *host);

/* What comes of a message about a capture that is not at hand and must be looked up: 0, or an error with a sentence that ends the
 * connection. */
typedef void (*dispatch_verdict_cb)(void *arg, int r, const char *text);

/* The host tells a record: looked at, stored, published; its end is acknowledged when it is committed and needs no result, or has it.
 * An unknown one is acknowledged, so that it is not told for ever (its row was removed).  Returns 0, ERR_DENIED (it belongs to another
 * host, or is not of that app, instance and kind) or ERR_INVALID with a sentence: the connection ends; or 1: it is looked up, and
 * `later` comes. */
int dispatch_take_record(struct dispatch *d, const char *host, const json_t *record,
                         char *reterr_text, size_t size, dispatch_verdict_cb later, void *arg);
/* The same for one that the host knows nothing of, or did not take on. */
int dispatch_take_unknown(struct dispatch *d, const char *host, const char *id, const char *code,
                          const char *text, char *reterr_text, size_t size,
                          dispatch_verdict_cb later, void *arg);

/* May this host bring the result of this capture?  `done` comes later, exactly once: 0 with the row (borrowed), ERR_DENIED (another
 * host's: the connection ends), ERR_EXISTS (it is here already: say so, then dispatch_blob_stored()), ERR_NOT_FOUND, ERR_INVALID (it has
 * no result to bring), or the store's error; each with a sentence. */
typedef void (*dispatch_blob_cb)(void *arg, int r, const char *text, const struct capture_row *row);
void dispatch_expects_blob(struct dispatch *d, const char *host, const char *capture,
                           dispatch_blob_cb done, void *arg);
/* The result is committed as a profile; `anew`: just now. */
void dispatch_blob_stored(struct dispatch *d, const char *host, const char *capture, bool anew);
/* It will never come (damaged, too big): the capture ends as failed, with the sentence. */
void dispatch_blob_lost(struct dispatch *d, const char *host, const char *capture, int error,
                        const char *text);

/* CAPTURE of the API, owned by the caller: the record's fields, else those of the row, with id, order, host, host_name, kind, app, instance, pid,
 * state, phase, requester, duration_ms, created_ms, sent_ms, ended_ms, error, warnings ("result_removed" when it was stored and removed
 * since), stop_wanted, cancel_wanted, given_up, profile (id or null), waiting (a sentence while it waits for its host). */
json_t *capture_view(const struct capture_row *row);

/* For the audit log: "cpu of api-0 on web1, api-1 on web1 … (order ID)". */
void capture_describe(const struct capture_list *rows, char *out, size_t size);
