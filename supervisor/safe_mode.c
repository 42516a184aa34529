#include "supervisor/safe_mode.h"

#include <stdio.h>
#include <sys/wait.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "supervisor/control.h"
#include "supervisor/supervisor.h"

const char *safe_mode_end(int status, char text[static SAFE_MODE_END_TEXT])
{
    if (status == KEEP_BECAME_KEEPER)
        (void)snprintf(text, SAFE_MODE_END_TEXT, "became the keeper when that was killed");
    else if (WIFSIGNALED(status))
        (void)snprintf(text, SAFE_MODE_END_TEXT, "killed by signal %d", WTERMSIG(status));
    else
        (void)snprintf(text, SAFE_MODE_END_TEXT, "exited with code %d", WEXITSTATUS(status));
    return text;
}

char *safe_mode_explain(const struct supervisor *sup)
{
    char end[SAFE_MODE_END_TEXT];
    if (!sup->safe)
        return NULL;
    return xasprintf(
        "safe mode: the supervisor came down again and again with this state (the last time: %s) "
        "and "
        "only watches now; the apps that run go on, nothing is started or changed until 'proctor "
        "upgrade' starts it anew",
        safe_mode_end(sup->keep.last_status, end));
}

bool safe_mode_refuses(struct peer *peer, const char *id)
{
    AUTOFREE char *why = safe_mode_explain(peer->sup);
    if (why)
        peer_error(peer, id, ERR_SAFE_MODE, why);
    return why != NULL;
}
