#include "supervisor/cli/stdin_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "supervisor/cli/say.h"

/* One byte more than a file may have, so that its reader says that it is too much. */
static int take_all(struct buf *text)
{
    for (;;) {
        char bytes[16384];
        ssize_t n = read(STDIN_FILENO, bytes, sizeof bytes);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        if (text->len + (size_t)n > text->limit)
            return buf_add(text, bytes, text->limit - text->len);
        int r = buf_add(text, bytes, (size_t)n);
        if (r < 0)
            return r;
    }
}

static int save(const struct buf *text, char **ret_path)
{
    const char *temp = getenv("TMPDIR");
    AUTOFREE char *dir = xasprintf("%s/proctor-XXXXXX", temp && *temp ? temp : "/tmp");
    if (!mkdtemp(dir))
        return -errno;
    AUTOFREE char *path = path_join(dir, "stdin.json");
    int r = path_write_atomic(path, buf_str(text), text->len, 0600);
    *ret_path = TAKE(path);
    return r;
}

char *stdin_file(void)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_ECOSYSTEM_FILE + 1);
    AUTOSTDIN char *path = NULL;
    int r = take_all(&text);
    if (r == 0)
        r = save(&text, &path);
    if (r == 0)
        return TAKE(path);
    say_error("cannot read standard input: %s", err_str(r));
    return NULL;
}

char *stdin_file_of(const char *text)
{
    AUTOSTDIN char *path = NULL;
    const struct buf all = {.data = (char *)text, .len = strlen(text)};
    int r = save(&all, &path);
    if (r == 0)
        return TAKE(path);
    say_error("cannot write a temporary file: %s", err_str(r));
    return NULL;
}

void stdin_file_remove(char **path)
{
    if (!*path)
        return;
    (void)unlink(*path);
    AUTOFREE char *dir = xstrndup(*path, (size_t)(path_base(*path) - *path));
    (void)rmdir(dir);
    free(*path);
    *path = NULL;
}
