/* cpuprofile.h -- V8's CPU profiles (.cpuprofile, Node 8 to 26): {nodes, startTime, endTime,
 * samples, timeDeltas}, keys in any order, ids any numbers from 0 on.
 *
 * What a sample costs.  timeDeltas[i] is the time between sample i-1 and sample i, the first one
 * since startTime; so sample i stands for the interval up to the next sample, timeDeltas[i+1], and
 * the last one for what is left until endTime.  This is how DevTools draws it.  The time before the
 * first sample belongs to nobody.  Deltas below 0 (some V8 versions) count as 0.  hitCount is not
 * used: samples are not equally long when the machine is busy. */
#pragma once

#include <stddef.h>

struct profile;
struct profile_error;

/* As profile_read(). */
int cpuprofile_read(struct profile *p, const char *text, size_t len, struct profile_error *reterr);
