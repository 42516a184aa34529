/* log_chain.h -- a log over its rotations: archives as far back as lines are asked for, the present file, and whatever takes its
 * place while we read, each line once. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "supervisor/cli/log_file.h"

struct log_chain {
    char *path;           /* of the present file */
    struct log_file file; /* that is read now */
    bool in_archive;      /* it is an archive, which does not grow any more */
    int64_t seen_ms;      /* archives up to this time lie before it, or are it */
    int64_t told_ms;      /* archives up to this time that cannot be read were said */
};

/* An archive that cannot be read is said once and left out.  Opens the present file at its beginning.  -ENOENT when there is none (yet). */
int log_chain_open(struct log_chain *c, const char *path);
void log_chain_close(struct log_chain *c);

/* Moves to the beginning of the last `lines` lines, in archives too; returns how many there are, or an error. */
int64_t log_chain_seek_tail(struct log_chain *c, size_t lines);

/* Moves to a place, in archives too, from which all lines of `since_ms` and later come, after some of before; 0: the beginning
 * of all.  0 or an error. */
int log_chain_seek_time(struct log_chain *c, int64_t since_ms);

/* As log_file_next() and log_file_check(). */
int log_chain_next(struct log_chain *c, bool rest, struct log_line *ret_line);
int log_chain_check(struct log_chain *c);
