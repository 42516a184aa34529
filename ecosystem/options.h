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
    OPTION_TEXT,     /* the same, and "" is nothing */
    OPTION_PATH,     /* relative to the app's cwd; "" is nothing */
    OPTION_LOG_FILE, /* the same; true: the usual place, "true"; false: none */
    OPTION_VARIABLE, /* the name of an environment variable */
    OPTION_USER,     /* a name or a number, as text */
    OPTION_CRON,     /* cron.h; 0 and false: none */
    OPTION_ZONE,     /* zone.h */
    OPTION_LIST,
    OPTION_FILES,      /* a list of paths; one string is one path, blanks and all */
    OPTION_NAMES,      /* a list of app names */
    OPTION_WATCH,      /* a list of paths; true: ".", false: none */
    OPTION_EXIT_CODES, /* a list of exit codes and signal names, in their usual form */
    OPTION_ENV_FILTER, /* env_filter.h */
    OPTION_ENV,
    OPTION_BOOL,
    OPTION_INT,
    OPTION_DURATION, /* an int of milliseconds */
    OPTION_INSTANCES,
    OPTION_SIGNAL,
    OPTION_WORD, /* an enum; `words` are its constants in their order */
    OPTION_PROFILING,
    OPTION_SIZE, /* 0, or at least `min` */
};

/* How a field is kept, which is all that copying and comparing need to know. */
enum option_storage {
    STORE_STRING, /* char *, NULL: nothing */
    STORE_LIST,   /* struct strlist */
    STORE_BOOL,
    STORE_INT,  /* int or an enum */
    STORE_SIZE, /* int64_t of bytes */
};

enum { OPTION_ALIASES = 4 };

struct option {
    const char *key;
    const char
        *aliases[OPTION_ALIASES]; /* besides the camelCase twins of the key and of each alias */
    enum option_type type;
    size_t offset; /* of the field in struct app_spec */
    int min, max;  /* of OPTION_INT, OPTION_DURATION and (min) OPTION_SIZE */
    const char *const
        *words;           /* of OPTION_WORD: each with its synonyms behind it, NULL-terminated */
    bool acts;            /* something is done with it; else a file that uses it is warned */
    const char *fallback; /* the default, as a person would write it; NULL: nothing */
    const char *help;     /* one sentence */
};

extern const struct option options[];
extern const size_t option_count;

enum option_storage option_storage(enum option_type type);

enum { OPTION_EXPECTED_TEXT = 128 };

/* What a value must be: "a whole number", "true or false", …  In `space` or static. */
const char *option_expected(const struct option *o, char space[static OPTION_EXPECTED_TEXT]);

/* The number of the word `text` stands for, or -1. */
int option_word_find(const struct option *o, const char *text);

/* The word of that number, without its synonyms. */
const char *option_word(const struct option *o, int number,
                        char space[static OPTION_EXPECTED_TEXT]);

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
