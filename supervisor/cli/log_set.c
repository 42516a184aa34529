#include "supervisor/cli/log_set.h"

#include <dirent.h>
#include <errno.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/limits.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "supervisor/cli/say.h"
#include "supervisor/cli/target_args.h"

/* ---- names ----------------------------------------------------------------------------------- */

bool log_name_parse(const char *file_name, struct log_name *ret_name)
{
    bool is_err = str_ends(file_name, ".err");
    size_t len = strlen(file_name);
    if (!is_err && !str_ends(file_name, ".out"))
        return false;
    AUTOFREE char *stem = xstrndup(file_name, len - strlen(".out"));
    char *dash = strrchr(stem, '-');
    int64_t instance;
    if (!dash || dash == stem || str_to_int(dash + 1, 0, LIMIT_INSTANCES, &instance) < 0)
        return false;
    *dash = '\0';
    *ret_name = (struct log_name){TAKE(stem), (unsigned)instance, is_err};
    return true;
}

static bool matches_pattern(const char *app, const char *target)
{
    AUTOFREE char *inner = xstrndup(target + 1, strlen(target) - 2);
    regex_t pattern;
    if (regcomp(&pattern, inner, REG_EXTENDED | REG_NOSUB) != 0)
        return false;
    bool matches = regexec(&pattern, app, 0, NULL, 0) == 0;
    regfree(&pattern);
    return matches;
}

bool log_name_matches(const struct log_name *name, const char *target)
{
    AUTOFREE char *label = xasprintf("%s-%u", name->app, name->instance);
    if (target_is_pattern(target))
        return matches_pattern(name->app, target);
    return str_eq(target, "all") || str_eq(target, name->app) || str_eq(target, label);
}

static int compare_names(const struct log_name *a, const struct log_name *b)
{
    int r = strcmp(a->app, b->app);
    if (r == 0)
        r = a->instance < b->instance ? -1 : a->instance > b->instance;
    return r != 0 ? r : (int)a->is_err - (int)b->is_err;
}

/* ---- the files ------------------------------------------------------------------------------- */

void log_set_init(struct log_set *s, const char *dir)
{
    *s = (struct log_set){.dir = xstrdup(dir), .out = true, .err = true};
}

static void free_source(struct log_source *source)
{
    log_chain_close(&source->chain);
    free(source->name.app);
    free(source->label);
    free(source);
}

void log_set_clear(struct log_set *s)
{
    for (size_t i = 0; i < s->count; i++)
        free_source(s->sources[i]);
    free(s->sources);
    free(s->dir);
    strlist_clear(&s->targets);
    *s = (struct log_set){0};
}

static bool is_wanted(const struct log_set *s, const struct log_name *name)
{
    if (!(name->is_err ? s->err : s->out))
        return false;
    for (size_t i = 0; i < s->targets.count; i++)
        if (log_name_matches(name, s->targets.items[i]))
            return true;
    return s->targets.count == 0;
}

/* Where `name` is or belongs; true when it is there. */
static bool find(const struct log_set *s, const struct log_name *name, size_t *ret_index)
{
    size_t low = 0, high = s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = compare_names(&s->sources[middle]->name, name);
        if (order == 0) {
            *ret_index = middle;
            return true;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *ret_index = low;
    return false;
}

/* Takes `name`.  A file that cannot be read is said and left out. */
static int add(struct log_set *s, struct log_name *name, const char *file_name)
{
    size_t index;
    AUTOFREE char *app = name->app;
    if (!is_wanted(s, name) || find(s, name, &index))
        return 0;
    AUTOFREE char *path = path_join(s->dir, file_name);
    struct log_source *source = xcalloc(1, sizeof *source);
    int r = log_chain_open(&source->chain, path);
    if (r < 0) {
        if (r != -ENOENT)
            say_error("cannot read %s: %s", path, err_str(r));
        free(source);
        return 0;
    }
    source->label = xasprintf("%s-%u", app, name->instance);
    source->name = *name;
    source->name.app = TAKE(app);
    s->sources = xreallocarray(s->sources, s->count + 1, sizeof *s->sources);
    memmove(s->sources + index + 1, s->sources + index, (s->count - index) * sizeof *s->sources);
    s->sources[index] = source;
    s->count++;
    return 1;
}

int log_set_scan(struct log_set *s)
{
    DIR *dir = opendir(s->dir);
    if (!dir)
        return -errno;
    int found = 0;
    for (const struct dirent *entry; (entry = readdir(dir));) {
        struct log_name name;
        if (log_name_parse(entry->d_name, &name))
            found += add(s, &name, entry->d_name);
    }
    (void)closedir(dir);
    return found;
}

bool log_set_has(const struct log_set *s, const char *target)
{
    for (size_t i = 0; i < s->count; i++)
        if (log_name_matches(&s->sources[i]->name, target))
            return true;
    return false;
}

/* ---- lines ----------------------------------------------------------------------------------- */

static void fail(struct log_source *source, int r)
{
    if (!source->failed)
        say_error("cannot read %s: %s", source->chain.path, err_str(r));
    source->failed = true;
}

void log_set_seek_tail(struct log_set *s, size_t lines)
{
    size_t total = 0;
    for (size_t i = 0; i < s->count; i++) {
        int64_t n = log_chain_seek_tail(&s->sources[i]->chain, lines);
        if (n < 0)
            fail(s->sources[i], (int)n);
        else
            total += (size_t)n;
    }
    /* Each file gave its last lines; the earliest of them all are too many. */
    while (total > lines && log_set_next(s, true))
        total--;
}

void log_set_seek_time(struct log_set *s, int64_t since_ms)
{
    for (size_t i = 0; i < s->count; i++) {
        int r = log_chain_seek_time(&s->sources[i]->chain, since_ms);
        if (r < 0)
            fail(s->sources[i], r);
    }
}

const struct log_source *log_set_next(struct log_set *s, bool rest)
{
    struct log_source *first = NULL;
    for (size_t i = 0; i < s->count; i++) {
        struct log_source *source = s->sources[i];
        if (!source->has_line && !source->failed) {
            int r = log_chain_next(&source->chain, rest, &source->line);
            if (r < 0)
                fail(source, r);
            source->has_line = r > 0;
        }
        if (source->has_line && (!first || source->line.time_ms < first->line.time_ms))
            first = source;
    }
    if (first)
        first->has_line = false;
    return first;
}

bool log_set_check(struct log_set *s)
{
    bool more = false;
    for (size_t i = 0; i < s->count; i++) {
        struct log_source *source = s->sources[i];
        if (source->has_line || source->failed)
            continue;
        int r = log_chain_check(&source->chain);
        if (r < 0)
            fail(source, r);
        more |= r > 0;
    }
    return more;
}
