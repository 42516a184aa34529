/* away.h -- the commands of proctor-away: those of `proctor` that can go through a console.  Each returns an exit code
 * (cmd.h). */
#pragma once

struct args;

int away_profile(const struct args *args);
int away_captures(const struct args *args);
