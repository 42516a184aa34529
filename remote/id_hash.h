/* id_hash.h -- in which of many lists something with this id (a UUID's text) stands. */
#pragma once

#include <stdint.h>

/* FNV-1a: ids of one moment begin alike, and some of them are chosen outside. */
static inline unsigned id_bucket(const char *id, unsigned buckets)
{
    uint32_t h = 2166136261u;
    for (; *id; id++)
        h = (h ^ (unsigned char)*id) * 16777619u;
    return h % buckets;
}
