/* agents_room.c -- a result did not fit on the disk: room is made, so that it can come in when it
 * comes again.  One at a time; the store does it in small pieces of work. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/err.h"
#include "lib/base/log.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "remote/agents_private.h"
#include "remote/store/profiles.h"
#include "remote/store/store.h"

/* Pieces of work: a store of many small results, and an end in any case. */
enum { STEPS_MAX = 10000 };

struct agent_room {
    struct agents *agents; /* NULL: it is over */
    struct store *store;
    char capture[UUID_TEXT];
    uint64_t stored_bytes;
    struct retention limits;
    unsigned steps; /* that removed something */
};

static int make_room(struct db *db, void *arg); /* in a thread */
static void on_step(void *arg, int r);

void agent_room_make(struct agents *a, const char *capture, uint64_t stored_bytes)
{
    if (a->room || a->closing)
        return;
    struct agent_room *m = xcalloc(1, sizeof *m);
    m->agents = a;
    m->store = a->settings.store;
    m->stored_bytes = stored_bytes;
    if (a->settings.retention)
        m->limits = *a->settings.retention;
    (void)snprintf(m->capture, sizeof m->capture, "%s", capture);
    a->room = m;
    store_write(m->store, make_room, on_step, m);
}

static int make_room(struct db *db, void *arg)
{
    const struct agent_room *m = arg;
    return retention_make_room(db, m->capture, m->stored_bytes, &m->limits, loop_wall_ms());
}

static void on_step(void *arg, int r)
{
    struct agent_room *m = arg;
    m->steps += r > 0;
    if (r > 0 && m->agents && !m->agents->closing && m->steps < STEPS_MAX) {
        store_write(m->store, make_room, on_step, m);
        return;
    }
    if (r < 0)
        log_warn(r, "no room can be made for the result of capture %s", m->capture);
    else if (m->steps > 0)
        log_info("room was made for the result of capture %s: %u times something was removed",
                 m->capture, m->steps);
    if (m->agents)
        m->agents->room = NULL;
    free(m);
}

void agent_room_abandon(struct agents *a)
{
    if (a->room)
        a->room->agents = NULL;
    a->room = NULL;
}
