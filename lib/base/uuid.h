/* uuid.h -- UUID version 7 (RFC 9562): time-ordered ids of captures and requests. */
#pragma once

#include <stdbool.h>

enum { UUID_TEXT = 37 };

void uuid_make(char ret_text[static UUID_TEXT]);

/* The canonical lower-case form, of any version. */
bool uuid_valid(const char *text);
