/* result_file.h -- the file that the result is written to: an inherited descriptor, a buffer, a limit.
 *
 * Writes block; the file is a regular one on a local disk and gets at most 64 KiB at a time.  The first error stays. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { RESULT_FILE_BUFFER = 65536 };

struct result_file {
    int fd;
    uint64_t bytes; /* taken so far, written or still in the buffer */
    uint64_t limit; /* more than that is ERR_TOO_BIG */
    size_t buffered;
    int error;
    char buffer[RESULT_FILE_BUFFER];
};

/* `fd` stays the caller's. */
void result_file_init(struct result_file *f, int fd, uint64_t limit);

/* Adds bytes.  Returns 0, ERR_TOO_BIG or -errno. */
int result_file_add(struct result_file *f, const void *data, size_t len);

/* Writes what is buffered and waits until it is on the disk.  Returns 0 or the first error. */
int result_file_sync(struct result_file *f);

/* Makes the file empty. */
void result_file_drop(struct result_file *f);
