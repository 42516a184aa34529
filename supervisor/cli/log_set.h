/* log_set.h -- the log files of some instances, read as one stream in the order of time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "lib/base/str.h"
#include "supervisor/cli/log_chain.h"

/* What a file's name says: "<app>-<instance>.out" or ".err". */
struct log_name {
    char *app; /* owned */
    unsigned instance;
    bool is_err;
};

/* False when it is not the name of a log.  Pure. */
bool log_name_parse(const char *file_name, struct log_name *ret_name);

/* Does a target of the command line ("api", "api-0", "all", "/PATTERN/" of names) mean this log?  Pure. */
bool log_name_matches(const struct log_name *name, const char *target);

struct log_source {
    struct log_name name;
    char *label; /* "api-0" */
    struct log_chain chain;
    struct log_line line;
    bool has_line;
    bool failed; /* said so already */
};

struct log_set {
    char *dir;
    struct strlist targets;      /* empty: all */
    bool out, err;               /* which streams */
    struct log_source **sources; /* by app, instance, stream */
    size_t count;
};

void log_set_init(struct log_set *s, const char *dir);
void log_set_clear(struct log_set *s);

/* Opens the files that are there and not open yet.  Returns how many were new, or an error of
 * reading the folder. */
int log_set_scan(struct log_set *s);

/* Does any file belong to this target? */
bool log_set_has(const struct log_set *s, const char *target);

/* Moves to the last `lines` lines of all files together. */
void log_set_seek_tail(struct log_set *s, size_t lines);

/* Moves all files to lines of that time (log_chain.h); 0: to their beginnings. */
void log_set_seek_time(struct log_set *s, int64_t since_ms);

/* The earliest line of those that can be read now, or NULL; valid until the next call.  `rest`:
 * unfinished lines at the ends count too. */
const struct log_source *log_set_next(struct log_set *s, bool rest);

/* After log_set_next() gave NULL: looks for truncated and exchanged files.  True when there is
 * something to read. */
bool log_set_check(struct log_set *s);
