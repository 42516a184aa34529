/* incoming.h -- what profiles.c needs to know of a result that has come in (see profiles.h). */
#pragma once

#include "remote/store/files.h"

struct db;
struct blob_sums;

/* The part file of this capture, when all of it is here and it is the one that was announced.  ERR_NOT_FOUND, ERR_MISMATCH. */
int incoming_whole(struct db *db, const char *capture, const struct blob_sums *announced,
                   char ret_part[static FILE_NAME]);
