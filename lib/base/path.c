#include "lib/base/path.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/io.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

#ifndef LIBEXECDIR
#define LIBEXECDIR "/usr/local/libexec/proctor"
#endif

char *path_join(const char *dir, const char *name)
{
    if (name[0] == '/')
        return xstrdup(name);
    const char *slash = str_ends(dir, "/") ? "" : "/";
    return xasprintf("%s%s%s", dir, slash, name);
}

static const char *home_directory(void)
{
    const char *home = getenv("HOME");
    if (home && home[0] == '/')
        return home;
    const struct passwd *entry = getpwuid(getuid());
    return entry && entry->pw_dir ? entry->pw_dir : "/";
}

/* Takes "." , ".." and doubled slashes out of an absolute path, by text only. */
static void normalize(char *path)
{
    char *out = path;
    const char *in = path;
    while (*in) {
        while (*in == '/')
            in++;
        size_t len = strcspn(in, "/");
        bool dot = len == 0 || (len == 1 && in[0] == '.');
        bool up = len == 2 && in[0] == '.' && in[1] == '.';
        if (up) {
            while (out > path && *--out != '/')
                continue;
        } else if (!dot) {
            *out++ = '/';
            memmove(out, in, len);
            out += len;
        }
        in += len;
    }
    if (out == path)
        *out++ = '/';
    *out = '\0';
}

char *path_resolve(const char *dir, const char *name)
{
    char *path;
    if (name[0] == '~' && (name[1] == '/' || name[1] == '\0'))
        path = xasprintf("%s%s", home_directory(), name + 1);
    else
        path = path_join(dir, name);
    if (path[0] == '/')
        normalize(path);
    return path;
}

const char *path_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

char *path_cwd(void)
{
    const char *named = getenv("PWD");
    struct stat here, there;
    if (named && named[0] == '/' && stat(named, &there) == 0 && stat(".", &here) == 0 &&
        here.st_dev == there.st_dev && here.st_ino == there.st_ino)
        return xstrdup(named);
    char *real = getcwd(NULL, 0);
    return real ? real : xstrdup("/");
}

static bool is_program(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

char *path_find_program(const char *dir, const char *name, const char *search)
{
    if (strchr(name, '/') || name[0] == '~') {
        char *path = path_resolve(dir, name);
        if (is_program(path))
            return path;
        free(path);
        return NULL;
    }
    const char *part = search ? search : "/usr/local/bin:/usr/bin:/bin";
    for (;;) {
        size_t len = strcspn(part, ":");
        char *path = len ? xasprintf("%.*s/%s", (int)len, part, name) : path_join(dir, name);
        if (is_program(path))
            return path;
        free(path);
        if (!part[len])
            return NULL;
        part += len + 1;
    }
}

char *path_home(void)
{
    const char *set = getenv("PROCTOR_HOME");
    AUTOFREE char *cwd = path_cwd();
    if (set && *set)
        return path_resolve(cwd, set);
    return path_join(home_directory(), ".proctor");
}

char *path_sibling(const char *name)
{
    char self[PATH_MAX];
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    if (len > 0) {
        self[len] = '\0';
        int dir = (int)(strrchr(self, '/') - self);
        /* In the build folder and in libexec; from bin of an installed tree, wherever that was put. */
        static const char *const places[] = {"", "/../libexec/proctor"};
        for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
            char *path = xasprintf("%.*s%s/%s", dir, self, places[i], name);
            if (is_program(path))
                return path;
            free(path);
        }
    }
    return path_join(LIBEXECDIR, name);
}

int path_mkdir(const char *path, mode_t mode)
{
    if (mkdir(path, mode) == 0)
        return 0;
    if (errno != EEXIST)
        return -errno;
    struct stat st;
    if (stat(path, &st) < 0)
        return -errno;
    return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

int path_read(const char *path, struct buf *out)
{
    /* Not to wait for whoever is to write into a fifo. */
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    struct stat st;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return S_ISDIR(st.st_mode) ? -EISDIR : ERR_NO_FILE;
    for (;;) {
        char piece[16384];
        ssize_t n = read(fd, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        int r = buf_add(out, piece, (size_t)n);
        if (r < 0)
            return r;
    }
}

static int sync_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    AUTOFREE char *dir = slash ? xstrndup(path, (size_t)(slash - path) + 1) : xstrdup(".");
    AUTOCLOSE int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int path_write_atomic(const char *path, const void *data, size_t len, mode_t mode)
{
    AUTOFREE char *temp = xasprintf("%s.tmp", path);
    AUTOCLOSE int fd = open(temp, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
    if (fd < 0)
        return -errno;
    int r = io_write_all(fd, data, len);
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (r == 0 && rename(temp, path) < 0)
        r = -errno;
    if (r < 0) {
        (void)unlink(temp);
        return r;
    }
    return sync_directory_of(path);
}
