/* incoming.h -- what profiles.c needs to know of a result that has come in (see profiles.h). */
#pragma once

#include "remote/store/files.h"

/* Room that results leave free: rows, their journal, and what removing something needs itself. */
#define SPARE_BYTES (64ull << 20)

struct db;
struct blob_sums;

/* The part file of this capture, when all of it is here and it is the one that was announced.  ERR_NOT_FOUND, ERR_MISMATCH. */
int incoming_whole(struct db *db, const char *capture, const struct blob_sums *announced,
                   char ret_part[static FILE_NAME]);

/* -ENOSPC: not so many bytes more, with what other results still have to bring that come in now. */
int incoming_room(struct db *db, const char *capture, uint64_t bytes);

/* How many bytes of this capture's result are still to come, of `stored_bytes`. */
int incoming_missing(struct db *db, const char *capture, uint64_t stored_bytes,
                     uint64_t *ret_missing);

/* Bytes that all parts but this capture's take, or will take, that come in now. */
int incoming_others(struct db *db, const char *capture, uint64_t *ret_bytes);

/* Throws a part away for the sake of the others: of several the youngest, of those that nobody brings any more when this capture
 * has none.  1, or 0: there is none to be thrown away. */
int incoming_give_way(struct db *db, const char *capture);
