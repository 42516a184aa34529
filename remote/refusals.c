#include "remote/refusals.h"

#include <stdio.h>
#include <stdlib.h>

#include "lib/base/mem.h"
#include "lib/base/str.h"
#include "remote/login_limit.h"

struct refusal {
    char address[LOGIN_LIMIT_KEY];
    char what[64];
    int64_t at_ms;
};

struct refusals {
    unsigned count;
    struct refusal rows[REFUSALS_MAX];
};

struct refusals *refusals_new(void)
{
    return xcalloc(1, sizeof(struct refusals));
}

void refusals_free(struct refusals *r)
{
    free(r);
}

static void forget_old(struct refusals *r, int64_t now_ms)
{
    for (unsigned i = 0; i < r->count;)
        if (now_ms - r->rows[i].at_ms >= REFUSALS_EACH_MS)
            r->rows[i] = r->rows[--r->count];
        else
            i++;
}

bool refusals_first(struct refusals *r, const char *address, const char *what, int64_t now_ms)
{
    forget_old(r, now_ms);
    for (unsigned i = 0; i < r->count; i++)
        if (str_eq(r->rows[i].address, address) && str_eq(r->rows[i].what, what))
            return false;
    if (r->count == REFUSALS_MAX)
        return false;
    struct refusal *row = &r->rows[r->count++];
    (void)snprintf(row->address, sizeof row->address, "%s", address);
    (void)snprintf(row->what, sizeof row->what, "%s", what);
    row->at_ms = now_ms;
    return true;
}
