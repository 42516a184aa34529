/* first_run.h -- what a console needs once: the first account. */
#pragma once

#include <stdint.h>

struct db;

/* While there is no account: makes "admin" with a password of ours, which stands in DATA/admin-password (0600) until it is changed.
 * Blocks for the time of a scrypt.  `*ret_file` (the caller frees): the file when it is there, else NULL.  Errors are logged. */
int first_run(struct db *db, int64_t now_ms, char **ret_file);

/* The account's password was changed: the file goes. */
void first_run_forget(const char *data_dir, const char *user);
