#include "supervisor/cli/cmd.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/startup.h"
#include "supervisor/cli/systemd_unit.h"

enum { UNIT_BYTES = 65536 };

static const struct arg_option options[] = {
    {"user", 0, NULL, "a unit of your own (systemctl --user), not of the system"},
    {"for", 'u', "USER", "a system unit for this user's apps"},
    {"name", 0, "NAME", "of the unit; proctor, or proctor-USER"},
    {"print", 'p', NULL, "prints the unit, and changes nothing"},
    {NULL, 0, NULL, NULL},
};

/* All folders above the file of a user's own unit. */
static int make_folders(const char *path)
{
    AUTOFREE char *dir = xstrdup(path);
    for (char *slash = strchr(dir + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(dir, 0755) < 0 && errno != EEXIST)
            return -errno;
        *slash = '/';
    }
    return 0;
}

static int install(const struct startup *s, const struct buf *unit)
{
    int r = s->own ? make_folders(s->path) : 0;
    if (r == 0)
        r = path_write_atomic(s->path, buf_str(unit), unit->len, 0644);
    if (r < 0) {
        say_error("cannot write %s: %s", s->path, err_str(r));
        return CMD_FAILED;
    }
    (void)printf("%s was written\n", s->path);
    (void)fflush(stdout);
    if (!startup_systemctl(s, "daemon-reload", NULL) || !startup_systemctl(s, "enable", s->name)) {
        say_error("systemctl %senable %s has failed; the unit will not be started at boot",
                  s->own ? "--user " : "", s->name);
        return CMD_FAILED;
    }
    return CMD_DONE;
}

/* Who runs now was not started by systemd. */
static void say_what_follows(const struct startup *s)
{
    AUTOCLIENT struct client c = CLIENT_NONE;
    const char *user = s->own ? "--user " : "";
    if (connect_try(&c) == 0)
        (void)printf(
            "the supervisor that runs now goes on; systemd's takes over at the next boot\n");
    else
        (void)printf("systemctl %sstart %s starts it now\n", user, s->name);
    if (s->own)
        (void)puts("it is started when you log in; with \"loginctl enable-linger\" at boot");
}

static int run(const struct args *args)
{
    AUTOSTARTUP struct startup s = {0};
    AUTOBUF struct buf unit = BUF_INIT(UNIT_BYTES);
    int code = startup_init(&s, args, "startup");
    if (code != CMD_DONE)
        return code;
    AUTOFREE char *keeper = path_sibling("proctor-keeper");
    const struct systemd_unit what = {
        .keeper = keeper, .home = s.home, .user = s.user, .path = getenv("PATH")};
    int r = systemd_unit_write(&what, &unit);
    if (r < 0) {
        say_error("cannot make a unit: %s", err_str(r));
        return CMD_FAILED;
    }
    if (args_has(args, "print")) {
        (void)fputs(buf_str(&unit), stdout);
        return CMD_DONE;
    }
    code = startup_may_write(&s, "startup");
    if (code == CMD_DONE)
        code = install(&s, &unit);
    if (code == CMD_DONE)
        say_what_follows(&s);
    return code;
}

const struct cmd cmd_startup = {
    .name = "startup",
    .usage = "",
    .help = "Has systemd start the supervisor, and its apps, at boot.",
    .options = options,
    .run = run,
};
