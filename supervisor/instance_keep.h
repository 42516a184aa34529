/* instance_keep.h -- what of an instance outlives the supervisor: written into its slot at every change, and found there
 * again by the next one.
 *
 * Order is everything.  A change is committed before what it leads to is done (a signal excepted: one that may have been
 * sent is sent again rather than never); counters are committed together with the state that they belong to.  So the
 * next supervisor goes on where this one stood, and nothing is counted twice. */
#pragma once

struct instance;

/* Writes everything at once; a death in between leaves what was there. */
void instance_commit(struct instance *in);

/* Why it is errored or waits; takes the text, NULL: all is well. */
void instance_set_error(struct instance *in, char *text);

/* in->exits has changed. */
void instance_keep_exits(struct instance *in);

/* Reads it back and adopts the process, if there is one; nothing is done yet (instance_resume()). */
void instance_restore(struct instance *in);
