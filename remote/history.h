/* history.h -- what the processes use and how they end, as agents tell it, gathered for a minute and then given to the store.
 *
 *     a list of processes comes (every 5 s) ──► the values of this minute, in memory
 *     the minute is over ──► rows of all processes, in one batch (store/history.h)
 *     an end that is new ──► its row, at once (store/exits.h)
 *
 * A process takes some 200 bytes here, and is forgotten when nothing is heard of it for a minute.  Times are those of this console;
 * an end has its host's.  What the store does not take (a full disk) is a gap; ends are told again by their hosts. */
#pragma once

#include <jansson.h>
#include <stdint.h>
#include <uv.h>

#include "remote/store/minute.h"

struct history;
struct store;

struct history *history_new(uv_loop_t *loop, struct store *store);

/* Stores what was gathered; then, after the store has closed, history_free(). */
void history_close(struct history *h);
void history_free(struct history *h); /* NULL is fine */

/* The array "processes" of a host's message, which processes_take() has found good.  `h` NULL: nothing is kept. */
void history_take(struct history *h, const char *host, const json_t *processes, int64_t now_ms);

/* What is not, or perhaps not, in the store yet, oldest first; returns how many. */
enum { HISTORY_RECENT = 2 };
size_t history_recent(const struct history *h, const char *host, const char *app, int64_t instance,
                      struct minute ret_minutes[static HISTORY_RECENT]);

/* Its clock: stores a minute that is over. */
void history_tick(struct history *h, int64_t now_ms);
