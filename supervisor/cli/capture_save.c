#include "supervisor/cli/capture_save.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/io.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"

enum { COPY_BYTES = 256 * 1024 };

/* ---- names ----------------------------------------------------------------------------------- */

static const char *extension(const char *kind)
{
    return str_eq(kind, "heap") ? "heapprofile" : str_eq(kind, "cpu") ? "cpuprofile" : "json";
}

char *capture_file_name(const json_t *record, int64_t epoch_ms)
{
    const char *kind = json_get_string(record, "kind", "profile");
    time_t seconds = (time_t)(epoch_ms / 1000);
    struct tm tm;
    char clock[32];
    (void)localtime_r(&seconds, &tm);
    (void)strftime(clock, sizeof clock, "%Y%m%d-%H%M%S", &tm);
    char *name =
        xasprintf("%s-%lld-%s-%s.%s", json_get_string(record, "app", "app"),
                  (long long)json_get_int(record, "instance", 0), kind, clock, extension(kind));
    for (char *c = name; *c; c++)
        if ((unsigned char)*c <= ' ' || *c == '/' || *c == 0x7f ||
            (c == name && (*c == '-' || *c == '.')))
            *c = c == name ? '_' : '-';
    return name;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return str_ends(path, "/") || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
}

bool capture_path_is_many(const char *wanted)
{
    return !wanted || strstr(wanted, "%i") || is_folder(wanted);
}

/* A name that we chose never takes the place of a file: name-2.cpuprofile, name-3.cpuprofile, … */
static char *free_path(const char *dir, const char *name)
{
    struct stat st;
    const char *dot = strrchr(name, '.');
    AUTOFREE char *stem = xstrndup(name, (size_t)(dot - name));
    char *path = dir ? path_join(dir, name) : xstrdup(name);
    for (unsigned n = 2; lstat(path, &st) == 0; n++) {
        AUTOFREE char *other = xasprintf("%s-%u%s", stem, n, dot);
        free(path);
        path = dir ? path_join(dir, other) : xstrdup(other);
    }
    return path;
}

char *capture_path(const char *wanted, const json_t *record, int64_t epoch_ms)
{
    if (!wanted || is_folder(wanted)) {
        AUTOFREE char *name = capture_file_name(record, epoch_ms);
        return free_path(wanted, name);
    }
    const char *mark = strstr(wanted, "%i");
    if (!mark)
        return xstrdup(wanted);
    return xasprintf("%.*s%lld%s", (int)(mark - wanted), wanted,
                     (long long)json_get_int(record, "instance", 0), mark + 2);
}

static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return xstrdup(".");
    return slash == path ? xstrdup("/") : xstrndup(path, (size_t)(slash - path));
}

int capture_path_check(const char *wanted, char **ret_dir)
{
    if (str_eq(wanted, "-"))
        return 0;
    AUTOFREE char *dir = !wanted             ? xstrdup(".")
                         : is_folder(wanted) ? xstrdup(wanted)
                                             : folder_of(wanted);
    struct stat st;
    /* A device or FIFO is written in its place. */
    if (wanted && lstat(wanted, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode) &&
        !S_ISLNK(st.st_mode))
        return 0;
    int r = access(dir, W_OK | X_OK) < 0 ? -errno : 0;
    if (r < 0)
        *ret_dir = TAKE(dir);
    return r;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Reads from the beginning, wherever the descriptor stands: others may share its position. */
static int64_t copy(int from, int to)
{
    AUTOFREE char *space = xcalloc(1, COPY_BYTES);
    int64_t done = 0;
    for (;;) {
        ssize_t n = pread(from, space, COPY_BYTES, (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : done;
        int r = io_write_all(to, space, (size_t)n);
        if (r < 0)
            return r;
        done += n;
    }
}

static int64_t save_special(int fd, const char *path)
{
    AUTOCLOSE int to = open(path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
    return to < 0 ? -errno : copy(fd, to);
}

static int64_t save_new(int fd, const char *path)
{
    AUTOFREE char *dir = folder_of(path);
    AUTOFREE char *temp = xasprintf("%s/.proctor-XXXXXX", dir);
    /* 0600, and never something that exists. */
    AUTOCLOSE int to = mkostemp(temp, O_CLOEXEC);
    if (to < 0)
        return -errno;
    int64_t done = copy(fd, to);
    if (done >= 0 && rename(temp, path) < 0)
        done = -errno;
    if (done < 0)
        (void)unlink(temp);
    return done;
}

int64_t capture_save(int fd, const char *path)
{
    struct stat st;
    if (str_eq(path, "-") || str_eq(path, "/dev/stdout")) {
        (void)fflush(stdout);
        return copy(fd, STDOUT_FILENO);
    }
    if (lstat(path, &st) < 0)
        return errno == ENOENT ? save_new(fd, path) : -errno;
    if (S_ISDIR(st.st_mode))
        return -EISDIR;
    /* A link to a device: replacing /dev/stderr, as root can, is never meant. */
    if (S_ISLNK(st.st_mode) && stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return -ELOOP;
    return S_ISREG(st.st_mode) || S_ISLNK(st.st_mode) ? save_new(fd, path) : save_special(fd, path);
}
