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
#include "lib/base/buf.h"
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

static bool makes_trouble(char c)
{
    return (unsigned char)c <= ' ' || c == '/' || c == 0x7f;
}

char *capture_file_name(const json_t *record, int64_t epoch_ms)
{
    const char *kind = json_get_string(record, "kind", "profile");
    const char *host = json_get_string(record, "host_name", NULL);
    time_t seconds = (time_t)(epoch_ms / 1000);
    struct tm tm;
    char clock[32];
    (void)localtime_r(&seconds, &tm);
    (void)strftime(clock, sizeof clock, "%Y%m%d-%H%M%S", &tm);
    char *name = xasprintf("%s-%lld%s%s-%s-%s.%s", json_get_string(record, "app", "app"),
                           (long long)json_get_int(record, "instance", 0), host ? "-" : "",
                           host ? host : "", kind, clock, extension(kind));
    for (char *c = name; *c; c++)
        if (makes_trouble(*c) || (c == name && (*c == '-' || *c == '.')))
            *c = c == name ? '_' : '-';
    return name;
}

static bool is_folder(const char *path)
{
    struct stat st;
    return str_ends(path, "/") || (stat(path, &st) == 0 && S_ISDIR(st.st_mode));
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

/* What stands for a mark: the letter behind '%'.  NULL: it is none.  The caller frees. */
static char *mark_text(char letter, const json_t *record)
{
    const char *host = json_get_string(record, "host_name", NULL);
    if (letter == 'i')
        return xasprintf("%lld", (long long)json_get_int(record, "instance", 0));
    if (letter != 'h' || !host)
        return NULL;
    char *text = xstrdup(host);
    for (char *c = text; *c; c++)
        if (makes_trouble(*c))
            *c = '-';
    return text;
}

static char *fill_marks(const char *wanted, const json_t *record)
{
    struct buf path;
    buf_init(&path, SIZE_MAX / 2);
    for (const char *c = wanted; *c; c++) {
        AUTOFREE char *text = *c == '%' ? mark_text(c[1], record) : NULL;
        (void)(text ? buf_addstr(&path, text) : buf_addc(&path, *c));
        c += text != NULL;
    }
    return buf_take(&path);
}

char *capture_path(const char *wanted, const json_t *record, int64_t epoch_ms)
{
    if (wanted && !is_folder(wanted))
        return fill_marks(wanted, record);
    AUTOFREE char *name = capture_file_name(record, epoch_ms);
    return free_path(wanted, name);
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool capture_path_is_enough(const char *wanted, const json_t *records)
{
    AUTOSTRLIST struct strlist paths = {0};
    if (!wanted || is_folder(wanted))
        return true;
    for (size_t i = 0; i < json_array_size(records); i++)
        strlist_add_taken(&paths, fill_marks(wanted, json_array_get(records, i)));
    if (paths.count > 1)
        qsort(paths.items, paths.count, sizeof *paths.items, compare_paths);
    for (size_t i = 1; i < paths.count; i++)
        if (str_eq(paths.items[i - 1], paths.items[i]))
            return false;
    return true;
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

int capture_save_room(const char *wanted)
{
    const char *temp_dir = getenv("TMPDIR");
    AUTOFREE char *dir = !wanted             ? xstrdup(".")
                         : is_folder(wanted) ? xstrdup(wanted)
                                             : folder_of(wanted);
    if (str_eq(wanted, "-") || access(dir, W_OK | X_OK) < 0) {
        free(dir);
        dir = xstrdup(temp_dir && *temp_dir ? temp_dir : "/tmp");
    }
    AUTOFREE char *path = xasprintf("%s/.proctor-XXXXXX", dir);
    int fd = mkostemp(path, O_CLOEXEC);
    if (fd < 0)
        return -errno;
    (void)unlink(path);
    return fd;
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
