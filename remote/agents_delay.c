/* agents_delay.c -- what may not come again yet: results that were refused for now, and requests for
 * certificates.
 *
 * Kept over connections, by the id of the capture or the host; so many that an honest fleet never
 * loses one, so few that each may be looked at. */
#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/agents_private.h"

enum { DELAYS_MAX = 1024 };

struct agent_delay {
    struct list link;
    char id[UUID_TEXT];
    uint64_t until_ms;
};

static uint64_t now_of(const struct agents *a)
{
    return uv_now(a->settings.loop);
}

static struct agent_delay *find(struct agents *a, const char *id)
{
    struct agent_delay *d;
    LIST_EACH(d, &a->delays)
    {
        if (str_eq(d->id, id))
            return d;
    }
    return NULL;
}

static void drop(struct agents *a, struct agent_delay *d)
{
    list_remove(&d->link);
    a->delay_count--;
    free(d);
}

void agent_delay_note(struct agents *a, const char *id, uint64_t ms)
{
    struct agent_delay *d = find(a, id);
    if (!d && a->delay_count == DELAYS_MAX)
        drop(a, a->delays.next->owner);
    if (!d) {
        d = xcalloc(1, sizeof *d);
        (void)snprintf(d->id, sizeof d->id, "%s", id);
        list_add(&a->delays, &d->link, d);
        a->delay_count++;
    }
    /* The other's clock runs a little faster, and it counts from when it hears of it. */
    d->until_ms = now_of(a) + ms - ms / 10;
}

uint64_t agent_delay_left(struct agents *a, const char *id)
{
    const struct agent_delay *d = find(a, id);
    uint64_t now_ms = now_of(a);
    return d && d->until_ms > now_ms ? d->until_ms - now_ms : 0;
}

void agent_delays_tick(struct agents *a, uint64_t now_ms)
{
    struct agent_delay *d;
    LIST_EACH(d, &a->delays)
    {
        if (d->until_ms <= now_ms)
            drop(a, d);
    }
}

void agent_delays_clear(struct agents *a)
{
    struct agent_delay *d;
    LIST_EACH(d, &a->delays)
    {
        drop(a, d);
    }
}
