/* archive.h -- names of the archives of a log: what `api-0.out` held is, after a rotation, in
 * `api-0.out.20261120T114512.123Z`, once packed in `….zst`, its index of times in `….idx` and `….idx.zst`.
 *
 * The time is that of the rotation, in UTC; names of one log in the order of time are in the order of their bytes too. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { ARCHIVE_STAMP = 24 }; /* with its NUL */

struct archive_name {
    size_t log_len; /* of the log's name, before the dot */
    int64_t at_ms;
    bool is_index;
    bool is_packed;
};

/* False when it is not the name of an archive.  Pure. */
bool archive_name_parse(const char *name, struct archive_name *ret_name);
const char *archive_stamp(int64_t at_ms, char space[static ARCHIVE_STAMP]);

/* "<log>.<stamp>"; the caller frees. */
char *archive_path(const char *log, int64_t at_ms);

/* An archive in a folder, with what belongs to it. */
struct archive {
    char *name; /* without ".zst" and ".idx" */
    size_t log_len;
    int64_t at_ms;
    bool is_plain, is_packed; /* which of the two forms are there */
    bool index_plain, index_packed;
    int64_t bytes; /* on disk, of all of them */
};

struct archives {
    struct archive *items; /* the oldest first */
    size_t count;
    int64_t other_bytes; /* of the folder's other files */
};

/* All archives of a folder, or those of one log (`log` is a file name; NULL: all).  0 or -errno. */
int archives_read(struct archives *a, const char *dir, const char *log);
void archives_clear(struct archives *a);
#define AUTOARCHIVES __attribute__((cleanup(archives_clear)))
