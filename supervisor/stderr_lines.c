#include "supervisor/stderr_lines.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"

/* The fixed beginning of each line.  `whole`: nothing but the newline follows. */
struct marker {
    const char *text;
    enum inspector_line kind;
    bool whole;
};

static const struct marker markers[] = {
    {"Debugger listening on ws://", INSPECTOR_LISTENING, false},
    {"Debugger ending on ws://", INSPECTOR_ENDING, false},
    {"Debugger attached.", INSPECTOR_ATTACHED, true},
    {"Waiting for the debugger to disconnect...", INSPECTOR_WAITING, true},
    {"For help, see: http", INSPECTOR_HELP, false},
    {"For help see http", INSPECTOR_HELP, false},
};

enum { ADDRESS_BYTES_MAX = 200 };

void stderr_lines_init(struct stderr_lines *f, stderr_confirm_cb confirm, stderr_seen_cb seen,
                       void *arg)
{
    *f = (struct stderr_lines){.confirm = confirm, .seen = seen, .arg = arg};
}

/* "HOST:PORT/PATH" up to `end`. */
static bool read_address(const char *text, const char *end, unsigned *ret_port, char *ret_path)
{
    const char *slash = memchr(text, '/', (size_t)(end - text));
    if (!slash)
        return false;
    const char *colon = memrchr(text, ':', (size_t)(slash - text));
    size_t path_len = (size_t)(end - slash - 1);
    if (!colon || colon == text || path_len == 0 || path_len >= INSPECTOR_PATH_MAX)
        return false;
    unsigned long port = 0;
    for (const char *c = colon + 1; c < slash; c++) {
        if (!isdigit((unsigned char)*c) || port > 65535)
            return false;
        port = port * 10 + (unsigned)(*c - '0');
    }
    for (const char *c = slash + 1; c < end; c++)
        if (!isxdigit((unsigned char)*c) && *c != '-')
            return false;
    if (port == 0 || port > 65535)
        return false;
    memcpy(ret_path, slash + 1, path_len);
    ret_path[path_len] = '\0';
    *ret_port = (unsigned)port;
    return true;
}

/* FNV-1a; the paths themselves, which let their holder run code as the app, are not kept. */
static unsigned long hash_path(const char *path)
{
    unsigned long hash = 14695981039346656037UL;
    for (; *path; path++)
        hash = (hash ^ (unsigned char)*path) * 1099511628211UL;
    return hash;
}

static bool knows_path(const struct stderr_lines *f, const char *path)
{
    unsigned long hash = hash_path(path);
    unsigned count = f->path_count < INSPECTOR_PATHS ? f->path_count : INSPECTOR_PATHS;
    for (unsigned i = 0; i < count; i++)
        if (f->paths[i] == hash)
            return true;
    return false;
}

static void remember_path(struct stderr_lines *f, const char *path)
{
    if (!knows_path(f, path))
        f->paths[f->path_count++ % INSPECTOR_PATHS] = hash_path(path);
}

/* A line of the inspector that was found. */
struct match {
    const char *at;
    enum inspector_line kind;
    unsigned port;
    char path[INSPECTOR_PATH_MAX];
};

/* Is the text from `m->at` to the newline at `end` a line of the inspector of this kind? */
static enum stderr_answer line_is(const struct stderr_lines *f, const struct marker *marker,
                                  struct match *m, const char *end, bool at_start, bool urgent)
{
    const char *rest = m->at + strlen(marker->text);
    if (rest > end || (marker->whole && rest != end))
        return STDERR_NO;
    m->kind = marker->kind;
    switch (marker->kind) {
    case INSPECTOR_HELP:
        return f->help_due > 0 && !memchr(rest, ' ', (size_t)(end - rest));
    case INSPECTOR_LISTENING:
        if (!read_address(rest, end, &m->port, m->path))
            return STDERR_NO;
        /* 8 to 12 print the pair again when the last client has left. */
        return knows_path(f, m->path) ? STDERR_YES : f->confirm(f->arg, m->port, m->path, urgent);
    case INSPECTOR_ENDING:
        return read_address(rest, end, &m->port, m->path) && knows_path(f, m->path);
    case INSPECTOR_ATTACHED:
        return at_start || f->attach_expected > 0;
    case INSPECTOR_WAITING:
        return at_start || f->attached > 0;
    }
    return STDERR_NO;
}

/* Finds the line of the inspector that ends at the newline `end`; `ret_match->at` is where it begins, or where one may
 * begin that is to be judged later. */
static enum stderr_answer find_inspector(const struct stderr_lines *f, const char *start,
                                         const char *end, bool urgent, struct match *ret_match)
{
    for (size_t i = 0; i < ARRAY_SIZE(markers); i++) {
        const struct marker *m = &markers[i];
        const char *at = memmem(start, (size_t)(end - start), m->text, strlen(m->text));
        for (; at; at = memmem(at + 1, (size_t)(end - at - 1), m->text, strlen(m->text))) {
            *ret_match = (struct match){.at = at};
            enum stderr_answer answer =
                line_is(f, m, ret_match, end, at == start && !f->mid_line, urgent);
            if (answer != STDERR_NO)
                return answer;
        }
    }
    return STDERR_NO;
}

/* The state after a line of the inspector was cut; the owner hears of it. */
static void saw(struct stderr_lines *f, const struct match *m)
{
    if (m->kind == INSPECTOR_LISTENING)
        remember_path(f, m->path);
    /* 14 and newer print it behind ENDING too. */
    f->help_due += m->kind == INSPECTOR_LISTENING || m->kind == INSPECTOR_ENDING;
    if (m->kind == INSPECTOR_HELP)
        f->help_due--;
    if (m->kind == INSPECTOR_ATTACHED) {
        f->attached++;
        f->attach_expected -= f->attach_expected > 0;
    }
    f->seen(f->arg, m->kind, m->port, m->path);
}

/* In an unfinished line: where text begins that may become a line of the inspector; `end` when nowhere. */
static const char *find_beginning(const struct stderr_lines *f, const char *start, const char *end)
{
    const char *earliest = end;
    for (size_t i = 0; i < ARRAY_SIZE(markers); i++) {
        const struct marker *m = &markers[i];
        size_t len = strlen(m->text);
        if (m->kind == INSPECTOR_HELP && f->help_due == 0)
            continue;
        /* What lies further back is longer than a line of the inspector gets. */
        size_t reach = len + ADDRESS_BYTES_MAX - 1;
        const char *from = (size_t)(end - start) > reach ? end - reach : start;
        const char *whole = memmem(from, (size_t)(end - from), m->text, len);
        if (whole && whole < earliest)
            earliest = whole;
        for (size_t n = len - 1; n > 0; n--) {
            if ((size_t)(end - start) >= n && memcmp(end - n, m->text, n) == 0 &&
                end - n < earliest)
                earliest = end - n;
        }
    }
    return earliest;
}

static enum stderr_verdict keep(struct stderr_lines *f, size_t len, bool mid_line, size_t *ret_len)
{
    f->mid_line = mid_line;
    *ret_len = len;
    return STDERR_KEEP;
}

enum stderr_verdict stderr_lines_next(struct stderr_lines *f, const char *data, size_t len,
                                      bool last, bool urgent, size_t *ret_len)
{
    const char *newline = memchr(data, '\n', len);
    if (!newline) {
        const char *beginning = last ? data + len : find_beginning(f, data, data + len);
        if (beginning > data)
            return keep(f, (size_t)(beginning - data), true, ret_len);
        return STDERR_WAIT;
    }
    struct match match;
    enum stderr_answer answer = find_inspector(f, data, newline, urgent, &match);
    if (answer == STDERR_NO)
        return keep(f, (size_t)(newline - data) + 1, false, ret_len);
    /* The app's unfinished line goes first; the inspector's part is judged again when it is the beginning. */
    if (match.at > data)
        return keep(f, (size_t)(match.at - data), true, ret_len);
    if (answer == STDERR_LATER)
        return STDERR_WAIT;
    saw(f, &match);
    /* The app's line goes on after ours: `mid_line` stays as it was. */
    *ret_len = (size_t)(newline - data) + 1;
    return STDERR_CUT;
}
