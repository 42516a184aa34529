/* log_file.h -- one log file, read line by line, with the time of each line from the index beside
 * it.
 *
 * The supervisor writes `<file>.idx`: records of two little-endian 64-bit numbers, wall clock in ms
 * and the offset in the file where output of that time begins.  A file that has no index, or one
 * that does not reach so far, gives lines of time 0. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "lib/base/buf.h"

/* A line that is longer comes in pieces. */
enum { LOG_LINE_BYTES = 1 << 20 };

struct log_line {
    const char *text; /* without its newline; borrowed until the next log_file_next() */
    size_t len;
    int64_t time_ms; /* 0: unknown */
};

struct log_file {
    char *path;
    int fd;
    int index_fd;         /* -1: none */
    uint64_t offset;      /* of the first byte that was not handed out as a line */
    struct buf in;        /* what was read from `offset` on */
    size_t taken;         /* bytes of `in` that were handed out last */
    int64_t time_ms;      /* of the index record before or at `offset` */
    uint64_t index_pos;   /* the next record's position in the index */
    uint64_t next_offset; /* of that record, once it was read; 0: not yet */
    int64_t next_time_ms;
};

/* Takes two descriptors (the index's may be negative), at the beginning. */
void log_file_init(struct log_file *f, const char *path, int fd, int index_fd);
/* Opens at the beginning.  -ENOENT when there is no file (yet). */
int log_file_open(struct log_file *f, const char *path);
void log_file_close(struct log_file *f);

/* Moves to the beginning of the last `lines` lines; returns how many there are, or an error.  An
 * unfinished line counts. */
int64_t log_file_seek_tail(struct log_file *f, size_t lines);

/* Moves to a place from which all lines of `since_ms` and later come, after some of before. */
void log_file_seek_time(struct log_file *f, int64_t since_ms);

/* The next line: 1, 0 when there is none (yet), or an error.  An unfinished line at the end is one
 * only with `rest`. */
int log_file_next(struct log_file *f, bool rest, struct log_line *ret_line);

/* Call it when log_file_next() has nothing more: begins again when the file was truncated.  Returns
 * 1 when there may be something to read, 0, or an error. */
int log_file_check(struct log_file *f);

/* Does the name mean another file now, in which something stands?  Nothing is written to the old one
 * after that. */
bool log_file_exchanged(const struct log_file *f);
