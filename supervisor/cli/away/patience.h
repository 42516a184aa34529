/* patience.h -- how long a console that does not answer is tried again.  Pure. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { PATIENCE_MS = 60000 };

struct patience {
    bool lost;
    int64_t lost_ms; /* monotonic, of the first request without an answer */
};

/* No answer: TELL for the first time, TRY after that, OVER when there has been none for PATIENCE_MS. */
enum patience_word { PATIENCE_TELL, PATIENCE_TRY, PATIENCE_OVER };
enum patience_word patience_lost(struct patience *p, int64_t now_ms);

/* An answer came.  True: after some had not. */
bool patience_answered(struct patience *p);
