/* survivors.h -- processes of an earlier supervisor that was killed together with everything that knew them.  An app never
 * runs twice, so they are stopped, with a sentence, before anything is started and before anybody is served.
 *
 * They are found in the slots, by number and start time.  When there was no slots file (somebody has removed it) they are
 * looked for in /proc, by the environment that every app gets. */
#pragma once

struct supervisor;

/* Stops all that no instance goes on with, at most for as long as a stop lasts by default, and frees their slots. */
void survivors_stop(struct supervisor *sup);
