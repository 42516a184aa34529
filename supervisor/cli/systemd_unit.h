/* systemd_unit.h -- the unit that starts the supervisor of a user at boot.  Pure. */
#pragma once

#include <stdbool.h>

struct buf;

struct systemd_unit {
    const char *keeper; /* absolute path of proctor-keeper */
    const char *home;   /* PROCTOR_HOME */
    const char *user;   /* of a system unit: who runs it; NULL: the unit is a user's own */
    const char *path;   /* PATH; NULL: systemd's */
};

/* Appends the text of the unit.  -EINVAL: a path that no unit can hold (a newline in it). */
int systemd_unit_write(const struct systemd_unit *unit, struct buf *out);

/* "proctor", or "proctor-USER"; characters that no unit's name may have become '-'.  The caller frees. */
char *systemd_unit_name(const char *user);
