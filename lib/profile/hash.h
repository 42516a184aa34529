/* hash.h -- the hash of the tables in lib/profile.  It starts from a random seed: the bytes come
 * from a foreign file, whose writer must not be able to choose names that all fall into one slot.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
    unsigned __int128 product =
        (unsigned __int128)(a ^ 0x9e3779b97f4a7c15ull) * (b ^ 0xd6e8feb86659fd93ull);
    return (uint64_t)(product >> 64) ^ (uint64_t)product;
}

static inline uint64_t hash_bytes(const char *data, size_t len, uint64_t seed)
{
    uint64_t hash = hash_mix(seed, len), word;
    for (; len >= sizeof word; data += sizeof word, len -= sizeof word) {
        memcpy(&word, data, sizeof word);
        hash = hash_mix(hash ^ seed, word);
    }
    word = 0;
    if (len > 0)
        memcpy(&word, data, len);
    return hash_mix(hash ^ seed, word);
}

/* A seed for one table. */
uint64_t hash_seed(void);
