/* slot_stream.h -- what of one output stream must survive the supervisor's sudden death beside its descriptors.  Part of the
 * instance's slot; fields are only ever appended. */
#pragma once

#include <stdint.h>

/* What could not be written to the log file.  Changed as a whole (log_drop.c). */
struct slot_lost {
    int64_t bytes, lines; /* not told in the file yet */
    int64_t counted;      /* the descriptor "….lost" is counted up to here */
    int64_t from;         /* the file ends here as long as nothing can be written */
    int64_t total_lines;  /* of this instance, those that were told included */
    int32_t
        error; /* errno, from the first that could not be written until it is told; 0: all is written */
    uint32_t mid_line; /* the last byte was no newline */
};

struct slot_stream {
    struct slot_lost lost[2]; /* `flags` says which one counts */
    int64_t cut_at;           /* rotation under way: the old file ends here; 0: none */
    int64_t rotated_wall_ms;  /* the archive's time; 0: it is no archive of ours */
    uint32_t flags;           /* STREAM_… */
    uint32_t reserved;
};

enum { STREAM_LOST_SIDE = 1 };
