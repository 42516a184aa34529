/* log_rotate.h -- a log becomes an archive, and a new file takes its name, without a byte lost, doubled or torn, wherever we die.
 *
 * What stands behind the last newline goes on in the new file: it is made complete beside the old one (`<log>.new`, with the
 * index `<log>.new.idx`), the journal is set (kept->cut_at, kept->rotated_wall_ms), the old one gets its archive's name as a
 * second name, and renaming the new one is the one switch.  Then the old one is cut behind its last newline, and the new
 * descriptors replace the old in the keeper's store.  A successor that finds the journal set goes back when `<log>.new` is
 * still there (nothing was switched), and forward when not.
 *
 * Reopening after a rotation from outside is the same without an archive. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct logstream;

/* The steps in their order, for a test that ends after each of them. */
enum log_turn_step {
    TURN_MAKE_FILE,
    TURN_MAKE_INDEX,
    TURN_NOTE,
    TURN_LINK_FILE,
    TURN_LINK_INDEX,
    TURN_SWITCH_FILE,
    TURN_SWITCH_INDEX,
    TURN_CUT,
    TURN_STORE_FILE,
    TURN_STORE_INDEX,
    TURN_FORGET,
    TURN_STEPS
};

/* Makes an archive of what there is up to the last newline; `steps`: TURN_STEPS, or fewer in a test.  0 (also when there is
 * nothing), or a negative code: then all is as before. */
int log_rotate(struct logstream *s, unsigned steps);
void log_rotate_if_due(struct logstream *s);

/* Goes on in the file of our name when that is another one than ours, or none. */
int log_rotate_reopen(struct logstream *s);

/* What an earlier supervisor was in the middle of; `adopted`: the descriptors are its own. */
void log_rotate_adopt(struct logstream *s, bool adopted);
