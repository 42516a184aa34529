#include "supervisor/cli/monit/terminfo.h"

#include <curses.h>
#include <term.h>
#include <unistd.h>

bool terminfo_known(void)
{
    int why;
    if (setupterm(NULL, STDOUT_FILENO, &why) != OK)
        return false;
    (void)del_curterm(cur_term);
    return true;
}
