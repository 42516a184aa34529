/* log_flush.h -- empties the logs of an instance, archives included.
 *
 * A log that is open is rotated, and what became its archive thrown away: so nothing is torn, wherever we die, and what stands
 * behind the last newline stays. */
#pragma once

#include <stddef.h>

struct instance;
struct supervisor;

enum { LOG_FLUSH_TEXT = 400 };

/* 0, or a negative code with a sentence; what could be emptied is. */
int log_flush(struct instance *in, char reterr_text[static LOG_FLUSH_TEXT]);

/* proctor.log. */
int log_flush_own(struct supervisor *sup, char reterr_text[static LOG_FLUSH_TEXT]);
