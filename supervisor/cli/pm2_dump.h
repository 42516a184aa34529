/* pm2_dump.h -- what `pm2 save` has left, as an ecosystem file.
 *
 * The dump has one entry for each process; those of one name are the instances of an app.  Of the environment only what differs
 * from that of the shell is taken, since apps start with the shell's anyway; what PM2 and terminals put there is left out. */
#pragma once

#include <jansson.h>

struct strlist;

/* {"apps": [...]}; NULL when `dump` is no such array.  `notes` gets a sentence for each thing that was left out.  Pure. */
json_t *pm2_dump_convert(const json_t *dump, const struct strlist *shell_env,
                         struct strlist *notes);
