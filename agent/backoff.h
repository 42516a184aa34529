/* backoff.h -- how long the agent waits before it connects again.  Pure: time and randomness are the caller's.
 *
 * Full jitter: any moment between now and a ceiling that doubles with each failure, so that thousands of agents whose console
 * was restarted do not come back in step. */
#pragma once

#include <stdint.h>

enum {
    BACKOFF_FIRST_MS = 1000,
    BACKOFF_LAST_MS = 60000,
    /* After a refusal that will not pass by itself within minutes. */
    BACKOFF_REFUSED_MIN_MS = 5 * 60 * 1000,
    BACKOFF_REFUSED_MAX_MS = 10 * 60 * 1000,
};

struct backoff {
    int64_t ceiling_ms; /* of the next wait; 0: of the first */
};

/* The connection stood: the next wait is a first one again. */
void backoff_reset(struct backoff *b);

/* The next wait, for a random number of 32 bits. */
int64_t backoff_next(struct backoff *b, uint32_t random);

/* The wait after a refusal. */
int64_t backoff_refused(uint32_t random);
