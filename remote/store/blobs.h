/* blobs.h -- the stored results themselves: each there once, under the SHA-256 of what it holds. */
#pragma once

#include <stdint.h>

#include "lib/secure/hash.h"

struct db;
struct blob_sums;

/* Puts the part file, which was checked against `sums`, in its place; when the same result is there, nothing. */
int blobs_add(struct db *db, const struct blob_sums *sums, const char *part);

/* Gives its place and its analyses back when no profile wants it any more. */
int blobs_release(struct db *db, const uint8_t sha256_of_result[static SHA256_BYTES]);
