/* path.h -- paths of a host's files, and reading and writing small files whole. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct buf;

/* "a/b" from "a" and "b"; an absolute `name` stands for itself.  The caller frees. */
char *path_join(const char *dir, const char *name);

/* The same, with "~" at the start of `name` replaced by $HOME, and "." and ".." taken out by text only, so that
 * symbolic links stay as written. */
char *path_resolve(const char *dir, const char *name);

/* The last component (borrowed from `path`). */
const char *path_base(const char *path);

/* The working directory as the shell names it ($PWD when it is the same place), so that links stay as written. */
char *path_cwd(void);

/* Finds a program: a name with a slash is resolved against `dir`, another is looked up in `search` (a PATH value).
 * NULL when there is none that can be executed.  The caller frees. */
char *path_find_program(const char *dir, const char *name, const char *search);

/* $PROCTOR_HOME, else ~/.proctor, always absolute.  The caller frees. */
char *path_home(void);

/* A program that belongs to proctor: beside the running program, in ../libexec/proctor from there, else in
 * LIBEXECDIR.  The caller frees. */
char *path_sibling(const char *name);

/* Creates a directory (not its parents) with `mode`, or checks that one is there. */
int path_mkdir(const char *path, mode_t mode);

/* Reads a regular file whole, appending to `out`; ERR_TOO_BIG past the buffer's limit, ERR_NO_FILE for a fifo or a device. */
int path_read(const char *path, struct buf *out);

/* Replaces a file so that a crash leaves the old or the new content: temporary file, fsync, rename, fsync of the
 * directory. */
int path_write_atomic(const char *path, const void *data, size_t len, mode_t mode);
