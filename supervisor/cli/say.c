#include "supervisor/cli/say.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "lib/wire/msg.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/connect.h"
#include "supervisor/cli/text.h"

__attribute__((format(printf, 2, 0))) static void say(const char *prefix, const char *fmt,
                                                      va_list ap)
{
    AUTOFREE char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0) {
        text = NULL;
        return;
    }
    text_make_safe(text);
    /* Keeps the order when both go to one place. */
    (void)fflush(stdout);
    (void)fprintf(stderr, "%s%s\n", prefix, text);
}

void say_error(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("proctor: ", fmt, ap);
    va_end(ap);
}

void say_note(const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    say("", fmt, ap);
    va_end(ap);
}

int say_usage(const char *name, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    AUTOFREE char *text = NULL;
    if (vasprintf(&text, fmt, ap) < 0)
        text = NULL;
    va_end(ap);
    say_error("%s: %s (see 'proctor help %s')", name, text ? text : "wrong use", name);
    return CMD_USAGE;
}

const char *say_reason(int r, const struct msg *answer)
{
    if (answer && answer->error_text && *answer->error_text)
        return answer->error_text;
    /* What client_call() gives up with. */
    if (connect_broke(r))
        return "the connection to the supervisor broke, and it did not come back";
    return err_str(r);
}

int say_exit_code(int r)
{
    switch (r) {
    case ERR_POLICY:
        return CMD_POLICY;
    case ERR_USAGE:
        return CMD_USAGE;
    default:
        return r < 0 ? CMD_FAILED : CMD_DONE;
    }
}

bool say_colors(FILE *out)
{
    const char *no = getenv("NO_COLOR"), *term = getenv("TERM");
    return isatty(fileno(out)) && !(no && *no) && term && !str_eq(term, "dumb");
}

const char *say_color(enum color c)
{
    switch (c) {
    case COLOR_NONE:
        return "";
    case COLOR_GREEN:
        return "\x1b[32m";
    case COLOR_RED:
        return "\x1b[31m";
    case COLOR_YELLOW:
        return "\x1b[33m";
    case COLOR_CYAN:
        return "\x1b[36m";
    case COLOR_BLUE:
        return "\x1b[34m";
    case COLOR_MAGENTA:
        return "\x1b[35m";
    case COLOR_DIM:
        return "\x1b[2m";
    case COLOR_BOLD:
        return "\x1b[1m";
    }
    return "";
}

unsigned say_width(FILE *out)
{
    struct winsize size;
    if (!isatty(fileno(out)))
        return 0;
    if (ioctl(fileno(out), TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return 80;
    return size.ws_col;
}

bool say_broken(void)
{
    return ferror(stdout) != 0;
}

static bool reader_gone(void)
{
    struct pollfd out = {.fd = STDOUT_FILENO, .events = POLLOUT};
    return poll(&out, 1, 0) > 0 && (out.revents & (POLLERR | POLLHUP)) != 0;
}

int say_finish(int code)
{
    errno = 0;
    bool failed = fflush(stdout) != 0;
    int error = errno;
    if (!failed && !ferror(stdout))
        return code;
    /* The errno of a write that failed in the middle is long gone, so the pipe itself is asked. */
    if (error == EPIPE || reader_gone())
        return code;
    say_error("cannot write the output: %s", error ? strerror(error) : "write error");
    return CMD_FAILED;
}
