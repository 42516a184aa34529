/* log_open.h -- the descriptors of a log stream: made and stored, or given back by the keeper. */
#pragma once

#include <stdint.h>

struct logstream;

/* Fills the descriptors and the position; 1: they were adopted, 0: they are new, or a negative code (what was opened is to be closed
 * by log_close_files()). */
int log_open_files(struct logstream *s, unsigned pipe_bytes);
void log_close_files(struct logstream *s);

/* A pipe whose reading end does not block. */
int log_open_pipe(unsigned bytes, int *ret_read, int *ret_write);

/* Opens (or creates) a file for writing at its end; the descriptor, or -errno. */
int log_open_at_end(const char *path, int64_t *ret_offset);

/* Where the line begins that `end` is in: behind the last newline before it; `end` itself when that is too far away. */
int64_t log_line_begin(int fd, int64_t end);

/* Appends the bytes from `at` to `end` to another file.  0 or a negative code. */
int log_copy_range(int from, int64_t at, int64_t end, int to);

/* The index begins anew: its offsets mean nothing any more. */
void log_reset_index(struct logstream *s);

/* The record of now, at most once per millisecond. */
void log_write_index(struct logstream *s);
