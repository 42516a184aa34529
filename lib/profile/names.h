/* names.h -- strings kept once: function names and URLs, which a profile repeats for every node. */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct name {
    const char *text; /* NUL-terminated; stays where it is until names_clear() */
    uint32_t len;
    uint32_t hash;
};

struct names {
    struct name *items;
    uint32_t count;
    /* private */
    uint32_t cap;
    uint32_t *slots; /* item + 1; 0: free */
    size_t slot_count;
    uint64_t seed;
    struct names_chunk *chunks;
};

/* {0} is an empty set. */
void names_clear(struct names *n);

/* The number of the string in `items`, added when it is new.  Returns 0, -ENOMEM, or ERR_TOO_BIG
 * past 4 GiB. */
int names_add(struct names *n, const char *text, size_t len, uint32_t *ret_item);
