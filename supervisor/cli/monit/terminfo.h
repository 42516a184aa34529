/* terminfo.h -- whether the terminal that TERM names is known.  Apart from screen.c, since <term.h> makes macros of common
 * words. */
#pragma once

#include <stdbool.h>

bool terminfo_known(void);
