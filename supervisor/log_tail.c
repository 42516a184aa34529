#include "supervisor/log_tail.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/archive.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"
#include "lib/base/utf8.h"
#include "lib/pack/zst_file.h"
#include "supervisor/app.h"
#include "supervisor/instance.h"
#include "supervisor/policy.h"
#include "supervisor/supervisor.h"

static const char replacement[] = "\xef\xbf\xbd"; /* U+FFFD */

/* ---- the end of a file ----------------------------------------------------------------------- */

static int open_file(const char *path, off_t *ret_size)
{
    struct stat st;
    /* A fifo that somebody put there must not hold us. */
    AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISREG(st.st_mode))
        return ERR_INVALID;
    *ret_size = st.st_size;
    return TAKE_FD(fd);
}

/* Where the last `lines` lines begin; one without its newline at the end is a line too. */
static const char *find_begin(const char *text, size_t len, unsigned lines, bool *ret_found)
{
    const char *at = text + len;
    if (len > 0 && at[-1] == '\n')
        at--;
    while (lines > 0 && (at = memrchr(text, '\n', (size_t)(at - text))))
        lines--;
    *ret_found = at != NULL;
    return at ? at + 1 : text;
}

/* What is read does not begin at the begin of the file: the first line is not whole, unless it is the only one. */
static const char *skip_part(const char *text, const char *end)
{
    const char *newline = memchr(text, '\n', (size_t)(end - text));
    if (newline && newline + 1 < end)
        return newline + 1;
    /* Not in the middle of a character. */
    for (int i = 0; i < 3 && text < end && ((unsigned char)*text & 0xc0) == 0x80; i++)
        text++;
    return text;
}

/* How long the character at `p` is; 0: it is none, or a NUL. */
static size_t char_len(const char *p, const char *end)
{
    int len = *p ? utf8_char(p, (size_t)(end - p)) : 0;
    return len > 0 ? (size_t)len : 0;
}

static size_t text_len(const char *p, const char *end)
{
    size_t total = 0;
    for (size_t len; p < end; p += len ? len : 1) {
        len = char_len(p, end);
        total += len ? len : sizeof replacement - 1;
    }
    return total;
}

static int add_text(const char *p, const char *end, struct buf *out)
{
    int r = 0;
    while (r == 0 && p < end) {
        const char *plain = p;
        for (size_t len; p < end && (len = char_len(p, end)) > 0;)
            p += len;
        r = buf_add(out, plain, (size_t)(p - plain));
        if (r == 0 && p < end) {
            r = buf_addstr(out, replacement);
            p++;
        }
    }
    return r;
}

/* Bytes that are no text grow when they are replaced: then fewer of them fit. */
static const char *fit(const char *begin, const char *end, size_t room)
{
    while (text_len(begin, end) > room) {
        size_t half = (size_t)(end - begin) / 2 + 1;
        begin = skip_part(begin + half, end);
    }
    return begin;
}

/* Appends the last `room` bytes; `*ret_part`: there are more before them. */
static int read_end(const char *path, size_t room, struct buf *text, bool *ret_part)
{
    off_t size = 0;
    char *space;
    AUTOCLOSE int fd = open_file(path, &size);
    if (fd < 0)
        return fd;
    off_t start = (uintmax_t)size > room ? size - (off_t)room : 0;
    int r = buf_reserve(text, (size_t)(size - start), &space);
    if (r < 0)
        return r;
    ssize_t n = pread(fd, space, (size_t)(size - start), start);
    if (n < 0)
        return -errno;
    buf_added(text, (size_t)n);
    *ret_part = start > 0;
    return 0;
}

static int read_packed(const char *path, size_t room, struct buf *text, bool *ret_part)
{
    bool whole;
    off_t size;
    AUTOFREE char *packed = xasprintf("%s.zst", path);
    AUTOBUF struct buf frame = BUF_INIT(ZST_FRAME + 4096);
    AUTOCLOSE int fd = open_file(packed, &size);
    int r = fd < 0 ? fd : zst_file_tail(fd, &frame, &whole);
    if (r < 0)
        return r;
    size_t len = frame.len < room ? frame.len : room;
    *ret_part = !whole || len < frame.len;
    return buf_add(text, buf_str(&frame) + frame.len - len, len);
}

/* Of the newest archive: the log may just have been rotated. */
static int read_archive(const char *path, size_t room, struct buf *text, bool *ret_part)
{
    AUTOARCHIVES struct archives a = {0};
    AUTOFREE char *dir = xstrndup(path, (size_t)(path_base(path) - path));
    int r = archives_read(&a, dir, path_base(path));
    if (r < 0 || a.count == 0)
        return -ENOENT;
    AUTOFREE char *archive = path_join(dir, a.items[a.count - 1].name);
    r = read_end(archive, room, text, ret_part);
    return r == -ENOENT ? read_packed(archive, room, text, ret_part) : r;
}

/* The end of the log, `room` bytes at most. */
static int gather(const char *path, unsigned lines, size_t room, struct buf *text, bool *ret_part)
{
    bool enough, part = false;
    AUTOBUF struct buf present = BUF_INIT(LIMIT_LOG_TEXT);
    int r = read_end(path, room, &present, &part);
    if (r < 0)
        return r;
    const char *begin = buf_str(&present);
    (void)find_begin(begin, present.len, lines, &enough);
    *ret_part = part;
    if (!part && !enough && read_archive(path, room - present.len, text, ret_part) < 0)
        buf_reset(text);
    return buf_add(text, begin, present.len);
}

int log_tail_read(const char *path, unsigned lines, struct buf *out, bool *ret_cut)
{
    bool found, before = false;
    size_t room = out->limit - out->len;
    AUTOBUF struct buf text = BUF_INIT(LIMIT_LOG_TEXT);
    int r = gather(path, lines, room < LIMIT_LOG_TEXT ? room : LIMIT_LOG_TEXT, &text, &before);
    *ret_cut = false;
    if (r < 0)
        return r == -ENOENT ? 0 : r;
    const char *end = buf_str(&text) + text.len;
    const char *begin = find_begin(buf_str(&text), text.len, lines, &found);
    bool part = !found && before;
    if (part)
        begin = skip_part(begin, end);
    const char *fitting = fit(begin, end, room);
    *ret_cut = part || fitting != begin;
    return add_text(fitting, end, out);
}

/* ---- for a console --------------------------------------------------------------------------- */

static struct instance *find_instance(struct supervisor *sup, const char *app, int64_t number)
{
    struct app *found = supervisor_app(sup, app);
    return found && number <= UINT32_MAX ? app_instance(found, (unsigned)number) : NULL;
}

static int read_log(const struct instance *in, const char *stream, unsigned lines, json_t *answer)
{
    bool cut = false;
    AUTOBUF struct buf text = BUF_INIT(LIMIT_LOG_TEXT);
    AUTOFREE char *path =
        xasprintf("%s/logs/%s-%u.%s", in->sup->home, in->app->spec.name, in->number, stream);
    int r = log_tail_read(path, lines, &text, &cut);
    json_set_string(answer, "text", buf_str(&text));
    json_set_int(answer, "at_ms", loop_wall_ms());
    json_set_bool(answer, "cut", cut);
    return r;
}

json_t *log_tail_view(struct supervisor *sup, const json_t *params, int *ret_error,
                      char *reterr_text, size_t size)
{
    const char *app = json_get_string(params, "app", "");
    const char *stream = json_get_string(params, "stream", "");
    int64_t number = json_get_int(params, "instance", 0);
    AUTOJSON json_t *answer = json_object();
    policy_refresh(&sup->policy);
    *ret_error = policy_check_logs(&sup->policy, reterr_text, size);
    if (*ret_error < 0)
        return NULL;
    const struct instance *in = find_instance(sup, app, number);
    if (!in || (!str_eq(stream, "out") && !str_eq(stream, "err"))) {
        *ret_error = in ? ERR_INVALID : ERR_NOT_FOUND;
        (void)snprintf(reterr_text, size,
                       in ? "a log is out or err" : "there is no such instance of this app here");
        return NULL;
    }
    *ret_error = read_log(in, stream, (unsigned)json_get_int(params, "lines", 1), answer);
    if (*ret_error < 0) {
        (void)snprintf(reterr_text, size, "the log of %s cannot be read: %s", instance_name(in),
                       err_str(*ret_error));
        return NULL;
    }
    return TAKE(answer);
}
