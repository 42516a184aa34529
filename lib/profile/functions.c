#include "lib/profile/functions.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/profile/hash.h"

enum { FIRST_SLOTS = 256 };

void functions_clear(struct functions *f)
{
    names_clear(&f->names);
    free(f->items);
    free(f->names_of);
    free(f->slots);
    *f = (struct functions){0};
}

static size_t first_slot(const struct functions *f, uint64_t names, uint32_t line, uint32_t column,
                         enum function_role role, size_t slot_count)
{
    uint64_t hash = hash_mix(names ^ f->seed ^ role, (uint64_t)line << 32 | column);
    return hash & (slot_count - 1);
}

static int grow_slots(struct functions *f)
{
    size_t slot_count = f->slot_count ? f->slot_count * 2 : FIRST_SLOTS;
    uint32_t *slots = calloc(slot_count, sizeof *slots);
    if (!slots)
        return -ENOMEM;
    if (f->slot_count == 0)
        f->seed = hash_seed();
    for (uint32_t i = 0; i < f->count; i++) {
        const struct function *item = &f->items[i];
        size_t slot =
            first_slot(f, f->names_of[i], item->line, item->column, item->role, slot_count);
        while (slots[slot])
            slot = (slot + 1) & (slot_count - 1);
        slots[slot] = i + 1;
    }
    free(f->slots);
    f->slots = slots;
    f->slot_count = slot_count;
    return 0;
}

static int grow_items(struct functions *f)
{
    uint32_t cap = f->cap ? f->cap * 2 : FIRST_SLOTS / 2;
    struct function *items = reallocarray(f->items, cap, sizeof *items);
    if (!items)
        return -ENOMEM;
    f->items = items;
    uint64_t *names_of = reallocarray(f->names_of, cap, sizeof *names_of);
    if (!names_of)
        return -ENOMEM;
    f->names_of = names_of;
    f->cap = cap;
    return 0;
}

/* V8's own nodes have a name in parentheses and no URL. */
static enum function_role role_of(const char *name, const char *url, bool has_script)
{
    static const struct {
        const char *name;
        enum function_role role;
    } roles[] = {
        {"(root)", FUNCTION_ROOT},
        {"(idle)", FUNCTION_IDLE},
        {"(program)", FUNCTION_PROGRAM},
        {"(garbage collector)", FUNCTION_GC},
    };
    if (has_script && !url[0])
        return FUNCTION_NO_FILE;
    if (name[0] != '(' || url[0])
        return FUNCTION_CODE;
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++)
        if (strcmp(name, roles[i].name) == 0)
            return roles[i].role;
    return FUNCTION_CODE;
}

int functions_add(struct functions *f, const struct function_key *key, uint32_t *ret_item)
{
    uint32_t name = 0, url = 0;
    int r = names_add(&f->names, key->name, key->name_len, &name);
    if (r == 0)
        r = names_add(&f->names, key->url, key->url_len, &url);
    if (r == 0 && f->count >= f->slot_count / 2)
        r = grow_slots(f);
    if (r == 0 && f->count == f->cap)
        r = grow_items(f);
    if (r < 0)
        return r;
    uint64_t names = (uint64_t)name << 32 | url;
    const char *name_text = f->names.items[name].text, *url_text = f->names.items[url].text;
    enum function_role role = role_of(name_text, url_text, key->has_script);
    size_t slot = first_slot(f, names, key->line, key->column, role, f->slot_count);
    for (; f->slots[slot]; slot = (slot + 1) & (f->slot_count - 1)) {
        uint32_t i = f->slots[slot] - 1;
        if (f->names_of[i] == names && f->items[i].line == key->line &&
            f->items[i].column == key->column && f->items[i].role == role) {
            *ret_item = i;
            return 0;
        }
    }
    f->items[f->count] = (struct function){
        .name = name_text, .url = url_text, .line = key->line, .column = key->column, .role = role};
    f->names_of[f->count] = names;
    *ret_item = f->count++;
    f->slots[slot] = f->count;
    return 0;
}
