/* log_drop.h -- a disk that takes no more: what an app goes on saying is dropped by whole lines, counted exactly, and told in the
 * file itself when that can be written again.
 *
 * An app is never held up.  Dropped bytes are spliced into a memory file first, whose position the kernel moves together with
 * taking them out of the pipe; they are counted there.  So a supervisor that dies in between leaves a number that its
 * successor finishes: no byte is counted twice or not at all.  A line of which a part was written already is cut off
 * the file and counted with the rest.  */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct logstream;
struct slot_lost;
struct slot_stream;

struct slot_lost log_drop_state(const struct slot_stream *kept);
bool log_drop_active(const struct logstream *s);

/* The file took no more, with this errno. */
void log_drop_begin(struct logstream *s, int error);

/* Tries to write again, now and then; `now`: in any case.  True when nothing is dropped any more. */
bool log_drop_end(struct logstream *s, bool now);

/* Drops up to `len` bytes of what is in the pipe; how many, 0 when it is empty. */
size_t log_drop_move(struct logstream *s, size_t len);

/* The process has ended, and so has its last line. */
void log_drop_line_over(struct logstream *s);

/* The file is another one now, or was shortened. */
void log_drop_moved(struct logstream *s);

/* Finishes what an earlier supervisor was in the middle of; `adopted`: the file and the descriptor are its own. */
void log_drop_adopt(struct logstream *s, bool adopted);

/* Before any of it is believed: what cannot be true of this file (somebody has written into the slots) is forgotten. */
void log_drop_mend(struct logstream *s);
