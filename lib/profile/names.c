#include "lib/profile/names.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/err.h"
#include "lib/profile/hash.h"

enum { CHUNK_BYTES = 64 << 10, FIRST_SLOTS = 256 };

/* Texts lie in chunks that never move. */
struct names_chunk {
    struct names_chunk *next;
    size_t used, size;
    char bytes[];
};

void names_clear(struct names *n)
{
    while (n->chunks) {
        struct names_chunk *chunk = n->chunks;
        n->chunks = chunk->next;
        free(chunk);
    }
    free(n->items);
    free(n->slots);
    *n = (struct names){0};
}

static char *copy_text(struct names *n, const char *text, size_t len)
{
    struct names_chunk *chunk = n->chunks;
    if (!chunk || chunk->size - chunk->used < len + 1) {
        size_t size = len + 1 > CHUNK_BYTES ? len + 1 : CHUNK_BYTES;
        chunk = malloc(sizeof *chunk + size);
        if (!chunk)
            return NULL;
        chunk->next = n->chunks;
        chunk->used = 0;
        chunk->size = size;
        n->chunks = chunk;
    }
    char *copy = chunk->bytes + chunk->used;
    if (len > 0)
        memcpy(copy, text, len);
    copy[len] = '\0';
    chunk->used += len + 1;
    return copy;
}

static int grow_slots(struct names *n)
{
    size_t slot_count = n->slot_count ? n->slot_count * 2 : FIRST_SLOTS;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    for (uint32_t i = 0; i < n->count; i++) {
        size_t slot = n->items[i].hash & (slot_count - 1);
        while (slots[slot])
            slot = (slot + 1) & (slot_count - 1);
        slots[slot] = i + 1;
    }
    if (n->slot_count == 0)
        n->seed = hash_seed();
    free(n->slots);
    n->slots = slots;
    n->slot_count = slot_count;
    return 0;
}

static int add_item(struct names *n, const char *text, size_t len, uint32_t hash)
{
    if (n->count == n->cap) {
        uint32_t cap = n->cap ? n->cap * 2 : FIRST_SLOTS / 2;
        struct name *items = reallocarray(n->items, cap, sizeof *items);
        if (!items)
            return -ENOMEM;
        n->items = items;
        n->cap = cap;
    }
    const char *copy = copy_text(n, text, len);
    if (!copy)
        return -ENOMEM;
    n->items[n->count++] = (struct name){.text = copy, .len = (uint32_t)len, .hash = hash};
    return 0;
}

int names_add(struct names *n, const char *text, size_t len, uint32_t *ret_item)
{
    if (len >= UINT32_MAX)
        return ERR_TOO_BIG;
    /* At most half full; the number of names is bounded by that of nodes (LIMIT_PROFILE_NODES). */
    if (n->count >= n->slot_count / 2) {
        int r = grow_slots(n);
        if (r < 0)
            return r;
    }
    uint32_t hash = (uint32_t)hash_bytes(text, len, n->seed);
    size_t slot = hash & (n->slot_count - 1);
    for (; n->slots[slot]; slot = (slot + 1) & (n->slot_count - 1)) {
        const struct name *item = &n->items[n->slots[slot] - 1];
        if (item->hash == hash && item->len == len && memcmp(item->text, text, len) == 0) {
            *ret_item = n->slots[slot] - 1;
            return 0;
        }
    }
    int r = add_item(n, text, len, hash);
    if (r < 0)
        return r;
    n->slots[slot] = n->count;
    *ret_item = n->count - 1;
    return 0;
}
