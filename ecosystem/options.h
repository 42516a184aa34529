/* options.h -- the one table of an app's settings.
 *
 * Reading files, single options of the command line, control messages, warnings about unknown keys,
 * defaults and the reference documentation follow from it.  A new setting is one row here and one
 * field in spec.h. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum option_type {
    OPTION_NAME, /* a string that is a valid app name */
    OPTION_STRING,
    OPTION_LIST,
    OPTION_BOOL,
    OPTION_INT,
    OPTION_DURATION, /* an int of milliseconds */
    OPTION_SIZE,     /* an int64_t of bytes; 0, or at least `min` */
    OPTION_INSTANCES,
    OPTION_ENV,
    OPTION_PROFILING,
};

enum { OPTION_ALIASES = 4 };

struct option {
    const char *key;
    const char
        *aliases[OPTION_ALIASES]; /* besides the camelCase twins of the key and of each alias */
    enum option_type type;
    size_t offset;        /* of the field in struct app_spec */
    int min, max;         /* of OPTION_INT, OPTION_DURATION and (min) OPTION_SIZE */
    const char *fallback; /* the default, as a person would write it; NULL: nothing */
    const char *help;     /* one sentence */
};

extern const struct option options[];
extern const size_t option_count;

/* What a value must be: "a whole number", "true or false", … */
const char *option_type_text(enum option_type type);

/* The option that `name` means, or NULL.  `*ret_rank` (may be NULL) tells how directly: 0 the key
 * itself, more for its twin and for aliases; of two names for one option the lower rank counts. */
const struct option *option_find(const char *name, unsigned *ret_rank);

/* Keys of PM2 that are known and do nothing (yet). */
struct ignored_key {
    const char *key;
    const char *harmless; /* the value that asks for what happens anyway, so that no warning is due;
                             or NULL */
    bool foreign;         /* will never mean anything here */
};

const struct ignored_key *ignored_key_find(const char *name);

/* The known name nearest to an unknown one, or NULL when none is near. */
const char *option_nearest(const char *name);
