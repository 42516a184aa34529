#include "supervisor/captures.h"

#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/json.h"
#include "supervisor/kept_json.h"
#include "supervisor/supervisor.h"

enum {
    LOCAL_MAX =
        1000, /* as many requests as can be under way (agent_link.c); the oldest are dropped */
};

static ptrdiff_t find_local(const struct captures *cs, const char *id)
{
    for (size_t i = 0; i < cs->local.count; i++)
        if (str_eq(cs->local.items[i], id))
            return (ptrdiff_t)i;
    return -1;
}

static void forget_local(struct captures *cs, size_t at)
{
    struct strlist *l = &cs->local;
    free(l->items[at]);
    /* With the NULL behind the last. */
    memmove(l->items + at, l->items + at + 1, (l->count - at) * sizeof *l->items);
    l->count--;
}

/* Before the agent can ask for it. */
static void keep_local(const struct captures *cs)
{
    if (cs->sup->keep.sock < 0)
        return;
    AUTOJSON json_t *record = json_object();
    (void)json_object_set_new(record, "ids", captures_local_to_json(cs));
    kept_json_put(&cs->sup->keep, record, "c.local");
}

void captures_restore_local(struct captures *cs)
{
    AUTOJSON json_t *record = kept_json_get(&cs->sup->keep, "c.local");
    if (record)
        captures_local_from_json(cs, json_object_get(record, "ids"));
}

void captures_expect(struct captures *cs, const char *id)
{
    if (captures_knows(cs, id) || find_local(cs, id) >= 0)
        return;
    if (cs->local.count == LOCAL_MAX)
        forget_local(cs, 0);
    strlist_add(&cs->local, id);
    keep_local(cs);
}

json_t *captures_local_to_json(const struct captures *cs)
{
    return json_from_strlist(&cs->local);
}

void captures_local_from_json(struct captures *cs, const json_t *ids)
{
    strlist_clear(&cs->local);
    json_to_strlist(ids, &cs->local);
    while (cs->local.count > LOCAL_MAX)
        forget_local(cs, 0);
}

bool captures_take_local(struct captures *cs, const char *id)
{
    ptrdiff_t at = find_local(cs, id);
    if (at >= 0)
        forget_local(cs, (size_t)at);
    return at >= 0;
}
