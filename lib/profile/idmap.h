/* idmap.h -- from the ids that a file gives its nodes to their numbers.  V8 counts ids from 1, so
 * mostly this is an array; ids that lie far apart make it a hash table. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define IDMAP_NONE UINT32_MAX

struct idmap_slot {
    int64_t id;
    uint32_t number;
};

struct idmap {
    /* private; one of the two */
    uint32_t *numbers; /* by id */
    uint64_t number_count;
    struct idmap_slot *slots;
    size_t slot_count;
    uint64_t seed;
};

/* For `count` ids, none negative, the largest of them `max_id`.  Returns 0 or -ENOMEM. */
int idmap_init(struct idmap *m, uint32_t count, int64_t max_id);
void idmap_clear(struct idmap *m);

/* False when the id is there already. */
bool idmap_add(struct idmap *m, int64_t id, uint32_t number);

/* Replaces each number n by new_numbers[n]. */
void idmap_renumber(struct idmap *m, const uint32_t *new_numbers);

uint32_t idmap_find_slot(const struct idmap *m, int64_t id);

/* IDMAP_NONE when there is no such id. */
static inline uint32_t idmap_find(const struct idmap *m, int64_t id)
{
    if (m->numbers)
        return (uint64_t)id < m->number_count ? m->numbers[id] : IDMAP_NONE;
    return idmap_find_slot(m, id);
}
