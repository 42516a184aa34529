#include "agent/backoff.h"

/* `min` to `max`, both included. */
static int64_t between(int64_t min, int64_t max, uint32_t random)
{
    return min + (int64_t)(((uint64_t)random * (uint64_t)(max - min + 1)) >> 32);
}

void backoff_reset(struct backoff *b)
{
    b->ceiling_ms = 0;
}

int64_t backoff_next(struct backoff *b, uint32_t random)
{
    int64_t ceiling = b->ceiling_ms ? b->ceiling_ms : BACKOFF_FIRST_MS;
    b->ceiling_ms = ceiling * 2 < BACKOFF_LAST_MS ? ceiling * 2 : BACKOFF_LAST_MS;
    return between(0, ceiling, random);
}

int64_t backoff_refused(uint32_t random)
{
    return between(BACKOFF_REFUSED_MIN_MS, BACKOFF_REFUSED_MAX_MS, random);
}
