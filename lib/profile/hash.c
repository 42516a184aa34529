#include "lib/profile/hash.h"

#include <sys/random.h>
#include <time.h>

uint64_t hash_seed(void)
{
    uint64_t seed;
    if (getrandom(&seed, sizeof seed, GRND_NONBLOCK) == (ssize_t)sizeof seed)
        return seed;
    /* Early at boot; the address differs from run to run too. */
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return hash_mix((uint64_t)now.tv_nsec, (uint64_t)(uintptr_t)&seed);
}
