/* functions.h -- the functions of a profile, each once: equal name, URL, line, column and role are
 * one function. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/profile/names.h"

/* Most are V8's own nodes, which stand for no function of the program. */
enum function_role {
    FUNCTION_CODE,
    FUNCTION_NO_FILE, /* code of a script whose file V8 does not name: evaluated, or (in a heap
                         profile) unloaded since */
    FUNCTION_ROOT,
    FUNCTION_IDLE,
    FUNCTION_PROGRAM, /* native code without JavaScript on the stack; up to Node 12 also idle time
                       */
    FUNCTION_GC,
};

struct function {
    const char *name; /* "" for an anonymous one */
    const char *url;  /* "" when V8 gave none */
    uint32_t line;    /* from 1; 0: unknown */
    uint32_t column;
    enum function_role role;
};

struct functions {
    struct function *items;
    uint32_t count;
    /* private */
    uint32_t cap;
    uint32_t *slots;
    size_t slot_count;
    uint64_t seed;
    uint64_t *names_of; /* per item: name << 32 | url, as numbers in `names` */
    struct names names;
};

/* A function as a file describes it; the texts are borrowed. */
struct function_key {
    const char *name;
    size_t name_len;
    const char *url;
    size_t url_len;
    uint32_t line;
    uint32_t column;
    bool has_script; /* the file says that it is of a script, not native */
};

/* {0} is an empty set. */
void functions_clear(struct functions *f);

/* The number of the function in `items`, added when it is new.  Returns 0, -ENOMEM or ERR_TOO_BIG.
 */
int functions_add(struct functions *f, const struct function_key *key, uint32_t *ret_item);
