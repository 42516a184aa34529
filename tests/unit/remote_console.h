/* remote_console.h -- the console's parts around a test: a real store in a folder of its own,
 * two hosts, a fleet, a dispatch; what would be told to viewers is counted. */
#pragma once

#include "tests/unit/support.h"

#include <uv.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/str.h"
#include "remote/dispatch.h"
#include "remote/fleet.h"
#include "remote/live.h"
#include "remote/store/db.h"
#include "remote/store/store.h"

#define HOST_1 "01890a5d-ac96-774b-bcce-b302099a8057"
#define HOST_2 "01890a5d-ac96-774b-bcce-b302099a8058"

enum { EVENTS_MAX = 4000 };

static uv_loop_t loop;
static struct store *store;
static struct fleet *fleet;
static struct dispatch *dispatch;
static json_t *events[EVENTS_MAX];
static unsigned event_count;
static bool watched = true;

/* ---- what viewers would see (instead of live.c) ---------------------------------------------- */

void live_publish(struct live *l, const json_t *event)
{
    assert_true(event_count < EVENTS_MAX);
    events[event_count++] = json_deep_copy(event);
}

void live_publish_text(struct live *l, const char *text, size_t len)
{
    AUTOJSON json_t *event = json_loadb(text, len, 0, NULL);
    assert_non_null(event);
    live_publish(l, event);
}

bool live_watched(const struct live *l)
{
    return watched;
}

static inline unsigned events_of(const char *type)
{
    unsigned count = 0;
    for (unsigned i = 0; i < event_count; i++)
        count += str_eq(json_get_string(events[i], "type", ""), type);
    return count;
}

static inline const json_t *last_event(const char *type)
{
    const json_t *found = NULL;
    for (unsigned i = 0; i < event_count; i++)
        if (str_eq(json_get_string(events[i], "type", ""), type))
            found = events[i];
    assert_non_null(found);
    return found;
}

static inline void forget_events(void)
{
    for (unsigned i = 0; i < event_count; i++)
        json_decref(events[i]);
    event_count = 0;
}

/* ---- the store ------------------------------------------------------------------------------- */

static inline void add_host(struct db *db, const char *id, const char *name)
{
    struct host_row row = {.enrolled_ms = 1000, .cert_not_after_ms = 9000};
    (void)snprintf(row.id, sizeof row.id, "%s", id);
    (void)snprintf(row.name, sizeof row.name, "%s", name);
    assert_int_equal(hosts_add(db, &row), 0);
}

static inline void make_hosts(void)
{
    struct db *db;
    assert_int_equal(db_open(folder, &db), 0);
    assert_int_equal(db_begin(db), 0);
    add_host(db, HOST_1, "one");
    add_host(db, HOST_2, "two");
    assert_int_equal(db_commit(db), 0);
    db_close(db);
}

static bool settled;

static int no_work(struct db *db, void *arg)
{
    return 0;
}

static void on_settled(void *arg, int r)
{
    settled = true;
}

/* Runs the loop until the store has done what was asked, and what came of it, a few times over. */
static inline void settle(void)
{
    for (int i = 0; i < 6; i++) {
        settled = false;
        store_write(store, no_work, on_settled, NULL);
        while (!settled)
            (void)uv_run(&loop, UV_RUN_ONCE);
        settled = false;
        store_read(store, no_work, on_settled, NULL);
        while (!settled)
            (void)uv_run(&loop, UV_RUN_ONCE);
    }
}

/* The row on disk; the caller clears. */
static inline struct capture_row stored_row(const char *id)
{
    struct db *db;
    struct capture_row row = {0};
    assert_int_equal(db_open(folder, &db), 0);
    assert_int_equal(captures_get(db, id, &row), 0);
    db_close(db);
    return row;
}

static inline void assert_state(const char *id, const char *state)
{
    struct capture_row row = stored_row(id);
    assert_string_equal(row.state, state);
    capture_row_clear(&row);
}

/* ---- the console ----------------------------------------------------------------------------- */

static void on_loaded(void *arg, int r)
{
    assert_int_equal(r, 0);
    settled = true;
}

static inline void open_console(void)
{
    assert_int_equal(store_open(&store, &loop, folder), 0);
    fleet = fleet_new(store, NULL);
    dispatch = dispatch_new(&loop, store, fleet, NULL);
    settled = false;
    fleet_load(fleet, on_loaded, NULL);
    while (!settled)
        (void)uv_run(&loop, UV_RUN_ONCE);
    settled = false;
    dispatch_load(dispatch, on_loaded, NULL);
    while (!settled)
        (void)uv_run(&loop, UV_RUN_ONCE);
    forget_events();
}

static inline void close_console(void)
{
    dispatch_close(dispatch);
    store_close(store, NULL, NULL);
    while (uv_run(&loop, UV_RUN_DEFAULT) != 0)
        continue;
    dispatch_free(dispatch);
    fleet_free(fleet);
    forget_events();
}

static inline int make_console(void **state)
{
    log_init("test", LOG_LEVEL_ERROR);
    if (make_folder(state) < 0 || uv_loop_init(&loop) < 0)
        return -1;
    make_hosts();
    watched = true;
    open_console();
    return 0;
}

static inline int remove_console(void **state)
{
    close_console();
    assert_int_equal(uv_loop_close(&loop), 0);
    return remove_folder(state);
}

static inline void nth_id(unsigned n, char ret_id[static UUID_TEXT])
{
    (void)snprintf(ret_id, UUID_TEXT, "01890a5d-0000-7000-8000-%012x", n);
}

static inline const char *id_of(unsigned n)
{
    static char ids[8][UUID_TEXT];
    static unsigned next;
    char *id = ids[next++ % 8];
    nth_id(n, id);
    return id;
}

/* The caller's. */
static inline json_t *a_hello(const char *process)
{
    return json_pack("{s:s,s:i,s:i,s:[s,s,s,s],s:s,s:s,s:s}", "type", "hello", "min_version", 1,
                     "max_version", 1, "capabilities", "capture", "blob", "renew", "unlink",
                     "release", "0.1.0", "id", process, "hostname", "web-1");
}

static inline void connect_host(const char *host, bool connected)
{
    AUTOJSON json_t *hello = a_hello(id_of(1));
    fleet_set_connected(fleet, host, connected, connected ? hello : NULL, loop_wall_ms());
}
