/* screen.h -- draws a monit on the terminal, by curses, and reads its keys. */
#pragma once

#include <stdbool.h>

struct monit;

/* Takes the terminal over: 0 or a negative code.  screen_close() gives it back as it was. */
int screen_open(void);
void screen_close(void);

void screen_draw(struct monit *m);

/* The next key that waits, as monit_key() takes it; 0: none.  A change of the terminal's size is seen here. */
int screen_key(void);
