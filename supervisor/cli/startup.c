#include "supervisor/cli/startup.h"

#include <errno.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/spawn.h"
#include "lib/base/str.h"
#include "supervisor/cli/args.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/systemd_unit.h"

static char *own_folder(void)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (config && config[0] == '/')
        return xasprintf("%s/systemd/user", config);
    return xasprintf("%s/.config/systemd/user", home && *home ? home : "/");
}

/* Somebody else's apps are in that one's folder. */
static char *home_of(const struct passwd *entry)
{
    bool ours = entry->pw_uid == geteuid();
    return ours ? path_home() : path_join(entry->pw_dir, ".proctor");
}

int startup_init(struct startup *s, const struct args *args, const char *command)
{
    const char *user = args_value(args, "for"), *name = args_value(args, "name");
    const char *sudo_user = getenv("SUDO_USER");
    *s = (struct startup){.own = args_has(args, "user")};
    if (s->own && user)
        return say_usage(command, "--user makes a unit of your own, --for one of the system");
    if (s->own && geteuid() == 0 && sudo_user)
        return say_usage(command, "--user makes a unit of your own: run it without sudo");
    const struct passwd *entry = user ? getpwnam(user) : getpwuid(geteuid());
    if (!entry) {
        say_error("there is no user '%s'", user ? user : "that we run as");
        return CMD_FAILED;
    }
    s->user = s->own ? NULL : xstrdup(entry->pw_name);
    s->home = home_of(entry);
    s->name = name ? xstrdup(name) : systemd_unit_name(s->user);
    if (!*s->name || strchr(s->name, '/')) {
        startup_clear(s);
        return say_usage(command, "'%s' cannot be the name of a unit", name);
    }
    AUTOFREE char *folder = s->own ? own_folder() : xstrdup("/etc/systemd/system");
    s->path = xasprintf("%s/%s.service", folder, s->name);
    return CMD_DONE;
}

void startup_clear(struct startup *s)
{
    free(s->user);
    free(s->home);
    free(s->name);
    free(s->path);
    *s = (struct startup){0};
}

int startup_may_write(const struct startup *s, const char *command)
{
    if (s->own || geteuid() == 0)
        return CMD_DONE;
    AUTOFREE char *self = path_sibling("proctor");
    say_error("a unit of the system is root's to make; run\n"
              "    sudo %s %s --for %s\n"
              "or make one of your own with --user",
              self, command, s->user);
    return CMD_FAILED;
}

bool startup_systemctl(const struct startup *s, const char *first, const char *second)
{
    AUTOFREE char *program = path_find_program("/", "systemctl", getenv("PATH"));
    const char *words[5];
    size_t count = 0;
    int status = -1, pidfd = -1;
    pid_t pid;
    enum spawn_step step;
    if (!program)
        return false;
    words[count++] = "systemctl";
    if (s->own)
        words[count++] = "--user";
    words[count++] = first;
    if (second)
        words[count++] = second;
    words[count] = NULL;
    const struct spawn spawn = {.file = program,
                                .argv = (char *const *)words,
                                .envp = environ,
                                .fds = {STDIN_FILENO, STDERR_FILENO, STDERR_FILENO},
                                .fd_count = 3};
    if (spawn_start(&spawn, &pid, &pidfd, &step) < 0)
        return false;
    (void)close(pidfd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}
