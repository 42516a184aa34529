/* capture_save.h -- where the result of a capture goes: file names, and writing a file that is
 * there whole or not at all. */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* "api-0-cpu-20251120-051601.cpuprofile" for a record, "api-0-HOST-cpu-…" when it says which host;
 * characters that make trouble in file names become '-'.  The caller frees.  Pure but for the time
 * zone. */
char *capture_file_name(const json_t *record, int64_t epoch_ms);

/* The path for a result: `wanted` (-o; NULL: the working directory) may be a folder or contain
 * "%i", the instance, and "%h", the record's host.  A name that the caller of proctor did not choose is one that is free.  The
 * caller frees. */
char *capture_path(const char *wanted, const json_t *record, int64_t epoch_ms);

/* Does each of these records (an array; processes do, too) get a file of its own there: in a folder, or
 * under names that "%i" and "%h" tell apart?  NULL is fine, too. */
bool capture_path_is_enough(const char *wanted, const json_t *records);

/* Looks, before anything is captured, whether a result can be written there.  0 or an error with
 * `*ret_dir` (the caller frees), the folder it is about. */
int capture_path_check(const char *wanted, char **ret_dir);

/* A file without a name, private, in which a result that comes over the network waits until it is
 * whole: in the folder where it will go, else where temporary files lie.  A descriptor or -errno. */
int capture_save_room(const char *wanted);

/* Copies the descriptor into `path` (0600): a new file takes the name when it is whole.  An
 * existing symbolic link is replaced, never followed; "-" is standard output, and a device or FIFO
 * is written as it is.  Returns the bytes, or an error. */
int64_t capture_save(int fd, const char *path);
