#include "supervisor/cli/systemd_unit.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* A word of a unit's command line or environment, in double quotes; % and $ stand for themselves. */
static int add_word(struct buf *out, const char *prefix, const char *value, bool in_command)
{
    if (strpbrk(value, "\n\r"))
        return -EINVAL;
    int r = buf_addf(out, "\"%s", prefix);
    for (; r == 0 && *value; value++) {
        if (*value == '"' || *value == '\\')
            r = buf_addc(out, '\\');
        else if (*value == '%' || (*value == '$' && in_command))
            r = buf_addc(out, *value);
        if (r == 0)
            r = buf_addc(out, *value);
    }
    return r < 0 ? r : buf_addc(out, '"');
}

static int add_environment(struct buf *out, const char *prefix, const char *value)
{
    if (!value)
        return 0;
    int r = buf_addstr(out, "Environment=");
    if (r == 0)
        r = add_word(out, prefix, value, false);
    return r < 0 ? r : buf_addc(out, '\n');
}

static int add_command(struct buf *out, const struct systemd_unit *unit)
{
    int r = buf_addstr(out, "ExecStart=");
    if (r == 0)
        r = add_word(out, "", unit->keeper, true);
    if (r == 0)
        r = buf_addstr(out, " --home ");
    if (r == 0)
        r = add_word(out, "", unit->home, true);
    return r < 0 ? r : buf_addc(out, '\n');
}

/* OOMPolicy: an app that the kernel kills must not take the others with it.  KillMode: apps are ended by the supervisor, and
 * only what is left in the end by systemd.  Restart: the end that `proctor kill` asked for is none to repair. */
static const char settings[] = "Type=notify\n"
                               "NotifyAccess=all\n"
                               "WatchdogSec=60\n"
                               "TimeoutStartSec=60\n"
                               "TimeoutStopSec=300\n"
                               "KillMode=mixed\n"
                               "OOMPolicy=continue\n"
                               "Restart=on-failure\n"
                               "RestartSec=1\n"
                               "TasksMax=infinity\n"
                               "LimitNOFILE=1048576\n"
                               "Delegate=yes\n";

int systemd_unit_write(const struct systemd_unit *unit, struct buf *out)
{
    int r = buf_addf(out,
                     "# Made by \"proctor startup\".\n"
                     "[Unit]\n"
                     "Description=proctor, a process manager%s%s\n"
                     "Documentation=man:proctor(1) man:proctord(8)\n"
                     "After=network-online.target\n"
                     "%s"
                     "\n[Service]\n%s",
                     unit->user ? " for " : "", unit->user ? unit->user : "",
                     unit->user ? "Wants=network-online.target\n" : "", settings);
    if (r == 0 && unit->user)
        r = buf_addf(out, "User=%s\n", unit->user);
    if (r == 0)
        r = add_environment(out, "PATH=", unit->path);
    if (r == 0)
        r = add_environment(out, "PROCTOR_HOME=", unit->home);
    if (r == 0)
        r = add_command(out, unit);
    return r < 0 ? r
                 : buf_addf(out, "\n[Install]\nWantedBy=%s\n",
                            unit->user ? "multi-user.target" : "default.target");
}

char *systemd_unit_name(const char *user)
{
    char *name = !user || str_eq(user, "root") ? xstrdup("proctor") : xasprintf("proctor-%s", user);
    for (char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
            *c = '-';
    return name;
}
