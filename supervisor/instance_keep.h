/* instance_keep.h -- what an instance is and has counted, in its slot (slots.h), so that the next supervisor knows it. */
#pragma once

struct instance;

/* Writes all of it at once: a death in between leaves what was there before. */
void instance_commit(struct instance *in);
