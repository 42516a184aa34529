/* files.h -- the files that a transaction writes to: how they are synced with it, and undone with it.
 *
 * Rows say how long each file is; what stands in it behind that is rubbish of a write that failed, and the next one writes over
 * it.  Nothing is overwritten or removed that a committed row speaks of, until the commit that says otherwise:
 *
 *     before the commit    files made by jobs that failed are removed again, rubbish is cut off, the rest is synced
 *     after it             files that no row names any more are removed
 *     instead of it        what was made is removed, what was appended is cut off */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct db;

enum file_kind { FILE_SEGMENT, FILE_PART, FILE_KINDS };
enum { FILE_NAME = 64 };

struct file_use {
    enum file_kind kind;
    char name[FILE_NAME];
    int fd;         /* -1: only linked */
    int64_t before; /* its length by the rows, when the transaction began */
    bool made;      /* by this transaction */
};
struct file_end { /* to be removed after the commit */
    enum file_kind kind;
    char name[FILE_NAME];
};
struct files {
    struct file_use *uses;
    size_t use_count;
    struct file_end *ends;
    size_t end_count;
    bool new_names[FILE_KINDS]; /* the folder is to be synced */
};

/* "000012.seg", and back: false for any other name. */
void files_segment_name(int64_t number, char ret_name[static FILE_NAME]);
bool files_segment_number(const char *name, int64_t *ret_number);

/* The file with this name, for writing: `length` bytes of it count by its row now.  The descriptor stays the db's. */
int files_open(struct db *db, enum file_kind kind, const char *name, int64_t length, int *ret_fd);

/* A new one.  One that has the name already is no row's, and is replaced. */
int files_make(struct db *db, enum file_kind kind, const char *name, int *ret_fd);

/* The part file gets a second name, as a segment. */
int files_link(struct db *db, const char *part, const char *segment);

/* To be removed after the commit, when no row names it then. */
void files_drop(struct db *db, enum file_kind kind, const char *name);

/* Only for reading; the caller closes. */
int files_read(struct db *db, enum file_kind kind, const char *name, int *ret_fd);

/* All of it, over interruptions and short writes. */
int files_write_at(int fd, const void *data, size_t len, uint64_t offset);

/* How long a file is by its row; 0 when no row names it, else 1. */
int files_length(struct db *db, enum file_kind kind, const char *name, int64_t *ret_length);

/* The three moments.  `locked`: no other process can have written since. */
int files_before_commit(struct db *db);
void files_after_commit(struct db *db);
void files_undo(struct db *db, bool locked);

/* Everything that is in memory. */
void files_clear(struct files *f);
