/* history_private.h -- what the files of the history share. */
#pragma once

#include <stdint.h>

#include "remote/store/minute.h"

enum {
    HISTORY_SPAN_MINUTES = 10,
    HISTORY_SPAN_MS = HISTORY_SPAN_MINUTES * MINUTE_MS,
    HISTORY_NEWEST =
        2 /* minutes of one process that are not all stored: one on its way, and the present one */
};
