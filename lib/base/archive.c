#include "lib/base/archive.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "lib/base/auto.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

enum { STAMP_LEN = 20 }; /* 20261120T114512.123Z */

/* ---- names ----------------------------------------------------------------------------------- */

static bool parse_stamp(const char *text, int64_t *ret_ms)
{
    static const char shape[] = "ddddddddTdddddd.dddZ";
    struct tm tm = {0};
    int ms;
    for (size_t i = 0; i < STAMP_LEN; i++)
        if (shape[i] == 'd' ? !isdigit((unsigned char)text[i]) : text[i] != shape[i])
            return false;
    if (sscanf(text, "%4d%2d%2dT%2d%2d%2d.%3d", &tm.tm_year, &tm.tm_mon, &tm.tm_mday, &tm.tm_hour,
               &tm.tm_min, &tm.tm_sec, &ms) != 7)
        return false;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    *ret_ms = (int64_t)timegm(&tm) * 1000 + ms;
    return true;
}

static size_t without(const char *name, size_t len, const char *suffix)
{
    size_t n = strlen(suffix);
    return len > n && memcmp(name + len - n, suffix, n) == 0 ? len - n : len;
}

bool archive_name_parse(const char *name, struct archive_name *ret_name)
{
    struct archive_name a = {0};
    size_t len = strlen(name), unpacked = without(name, len, ".zst");
    size_t bare = without(name, unpacked, ".idx");
    a.is_packed = unpacked < len;
    a.is_index = bare < unpacked;
    if (bare < STAMP_LEN + 2 || name[bare - STAMP_LEN - 1] != '.')
        return false;
    a.log_len = bare - STAMP_LEN - 1;
    if (!parse_stamp(name + a.log_len + 1, &a.at_ms))
        return false;
    *ret_name = a;
    return true;
}

const char *archive_stamp(int64_t at_ms, char space[static ARCHIVE_STAMP])
{
    struct tm tm;
    time_t seconds = (time_t)(at_ms / 1000);
    char text[ARCHIVE_STAMP];
    (void)gmtime_r(&seconds, &tm);
    (void)strftime(text, sizeof text, "%Y%m%dT%H%M%S", &tm);
    (void)snprintf(space, ARCHIVE_STAMP, "%.15s.%03dZ", text, (int)(at_ms % 1000));
    return space;
}

char *archive_path(const char *log, int64_t at_ms)
{
    char stamp[ARCHIVE_STAMP];
    return xasprintf("%s.%s", log, archive_stamp(at_ms, stamp));
}

/* ---- a folder -------------------------------------------------------------------------------- */

/* As an archive of its own, for now. */
static void add(struct archives *a, const char *file, const struct archive_name *name,
                int64_t bytes)
{
    if ((a->count & (a->count - 1)) == 0)
        a->items = xreallocarray(a->items, a->count ? 2 * a->count : 1, sizeof *a->items);
    a->items[a->count++] = (struct archive){.name = xstrndup(file, name->log_len + 1 + STAMP_LEN),
                                            .log_len = name->log_len,
                                            .at_ms = name->at_ms,
                                            .is_plain = !name->is_index && !name->is_packed,
                                            .is_packed = !name->is_index && name->is_packed,
                                            .index_plain = name->is_index && !name->is_packed,
                                            .index_packed = name->is_index && name->is_packed,
                                            .bytes = bytes};
}

static int by_time(const void *a, const void *b)
{
    const struct archive *x = a, *y = b;
    if (x->at_ms != y->at_ms)
        return x->at_ms < y->at_ms ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* What belongs together is side by side. */
static void join(struct archives *a)
{
    size_t count = 0;
    for (size_t i = 0; i < a->count; i++) {
        struct archive *item = &a->items[i], *last = count > 0 ? &a->items[count - 1] : NULL;
        if (!last || strcmp(last->name, item->name) != 0) {
            a->items[count++] = *item;
            continue;
        }
        last->is_plain |= item->is_plain;
        last->is_packed |= item->is_packed;
        last->index_plain |= item->index_plain;
        last->index_packed |= item->index_packed;
        last->bytes += item->bytes;
        free(item->name);
    }
    a->count = count;
}

static bool is_of(const char *file, const struct archive_name *name, const char *log)
{
    return !log || (strlen(log) == name->log_len && strncmp(file, log, name->log_len) == 0);
}

int archives_read(struct archives *a, const char *dir, const char *log)
{
    *a = (struct archives){0};
    DIR *d = opendir(dir);
    if (!d)
        return -errno;
    for (const struct dirent *entry; (entry = readdir(d));) {
        struct archive_name name;
        struct stat st;
        bool is_archive = archive_name_parse(entry->d_name, &name);
        if (is_archive ? !is_of(entry->d_name, &name, log) : log != NULL)
            continue;
        if (fstatat(dirfd(d), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
            continue;
        if (is_archive)
            add(a, entry->d_name, &name, st.st_size);
        else
            a->other_bytes += st.st_size;
    }
    (void)closedir(d);
    if (a->count > 0)
        qsort(a->items, a->count, sizeof *a->items, by_time);
    join(a);
    return 0;
}

void archives_clear(struct archives *a)
{
    for (size_t i = 0; i < a->count; i++)
        free(a->items[i].name);
    free(a->items);
    *a = (struct archives){0};
}
