#include "supervisor/cli/token_file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "supervisor/cli/cmd.h"
#include "supervisor/cli/say.h"

/* Reads until the end or until there is more than a token file holds; from a terminal one line. */
static ssize_t read_all(int fd, char text[static TOKEN_FILE_BYTES + 1])
{
    size_t len = 0;
    bool terminal = isatty(fd) == 1;
    while (len <= TOKEN_FILE_BYTES) {
        ssize_t n = read(fd, text + len, TOKEN_FILE_BYTES + 1 - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : (ssize_t)len;
        len += (size_t)n;
        if (terminal && memchr(text, '\n', len))
            return (ssize_t)len;
    }
    return (ssize_t)len;
}

/* Cuts the white space off, in place. */
static int trim(const char *path, char *text, size_t len)
{
    const char *begin = text;
    while (len > 0 && isspace((unsigned char)*begin)) {
        begin++;
        len--;
    }
    while (len > 0 && isspace((unsigned char)begin[len - 1]))
        len--;
    memmove(text, begin, len);
    text[len] = '\0';
    if (len == 0) {
        say_error("%s: there is no token in it", path);
        return CMD_FAILED;
    }
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)text[i] <= ' ' || (unsigned char)text[i] >= 0x7f) {
            say_error("%s: holds more than one token, or none", path);
            return CMD_FAILED;
        }
    return CMD_DONE;
}

static int take(const char *path, int fd, char *text)
{
    ssize_t len = read_all(fd, text);
    if (len < 0) {
        say_error("%s: %s", path, err_str((int)len));
        return CMD_FAILED;
    }
    if (len > TOKEN_FILE_BYTES) {
        say_error("%s: is larger than %d bytes, so it holds no token", path, TOKEN_FILE_BYTES);
        return CMD_FAILED;
    }
    return trim(path, text, (size_t)len);
}

static int check_privacy(const char *path, int fd, enum token_file_rule rule)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        say_error("%s: %s", path, err_str(-errno));
        return CMD_FAILED;
    }
    if (S_ISDIR(st.st_mode)) {
        say_error("%s: %s", path, err_str(-EISDIR));
        return CMD_FAILED;
    }
    bool open_to_others = S_ISREG(st.st_mode) && (st.st_mode & 077) != 0;
    if (!open_to_others)
        return CMD_DONE;
    if (rule == TOKEN_FILE_WARN) {
        say_note("warning: %s can be read by others (mode %04o)", path, st.st_mode & 07777);
        return CMD_DONE;
    }
    say_error("%s can be read by others (mode %04o), and the token in it is a secret: chmod 600 it",
              path, st.st_mode & 07777);
    return CMD_FAILED;
}

int token_file_read(const char *path, enum token_file_rule rule,
                    char ret_token[static TOKEN_FILE_BYTES + 1])
{
    if (str_eq(path, "-")) {
        if (isatty(STDIN_FILENO) == 1)
            say_note("paste the token and press Enter:");
        return take("standard input", STDIN_FILENO, ret_token);
    }
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0) {
        say_error("%s: %s", path, err_str(-errno));
        return CMD_FAILED;
    }
    int code = check_privacy(path, fd, rule);
    return code == CMD_DONE ? take(path, fd, ret_token) : code;
}
