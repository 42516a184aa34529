/* console_token.h -- makes enrolment strings and API tokens, for the commands and for the API.
 *
 * Files are read and rows are written: in a write of the store, or between db_begin() and db_commit(). */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "remote/store/accounts.h"

struct db;

enum { CONSOLE_SENTENCE = 300 };

/* Shortest and longest lives that may be asked for, and what is used when nothing is said. */
#define ENROL_TTL_MIN_MS 1000LL
#define ENROL_TTL_MS (60 * 60 * 1000LL)
#define ENROL_TTL_MAX_MS (30LL * 24 * 60 * 60 * 1000)
#define API_TTL_MIN_MS 1000LL
#define API_TTL_MS (90LL * 24 * 60 * 60 * 1000)
#define API_TTL_MAX_MS (3650LL * 24 * 60 * 60 * 1000)

/* What an API token is for, in lists and records: so long that "token <id> (<name>)" is a requester's name. */
enum { TOKEN_NAME_MAX = 64 };

/* "host:port" of the web port of the console that runs, or ran last, on this folder: `web` of DATA/address.json.  ERR_NOT_FOUND: it was
 * never started.  The caller frees. */
int console_web_address(const char *data_dir, char **ret_address,
                        char reterr_text[static CONSOLE_SENTENCE]);

/* pt1.…: the caller wipes and frees. */
int console_enrol_token(struct db *db, int64_t now_ms, int64_t ttl_ms, char **ret_text,
                        char reterr_text[static CONSOLE_SENTENCE]);

/* pa1.…: name, owner, role, created_ms and expires_ms of the row are the caller's, id and hash are filled in. */
int console_api_token(struct db *db, struct api_token_row *row, char **ret_text,
                      char reterr_text[static CONSOLE_SENTENCE]);
