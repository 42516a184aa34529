/* uuid.h -- UUID version 7 (RFC 9562): time-ordered ids of captures and requests. */
#pragma once

#include <stdbool.h>

enum { UUID_TEXT = 37 };

void uuid_make(char ret_text[static UUID_TEXT]);

/* The canonical lower-case form, of any version: for finding UUIDs in texts. */
bool uuid_valid(const char *text);

/* The same, of version 7: what uuid_make() makes, and the only form of a capture's id. */
bool uuid_valid_v7(const char *text);
