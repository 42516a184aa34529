#include "lib/base/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/utf8.h"

/* A line has room for its head and an error's text beside TEXT_MAX_BYTES of text. */
enum { RULES_MAX = 16, TEXT_MAX_BYTES = 8000, LINE_MAX_BYTES = TEXT_MAX_BYTES + 1000 };

#define CUT_MARK "\xe2\x80\xa6" /* an ellipsis */

struct log_rule {
    char module[32];
    enum log_level level;
};

static const char *const level_names[] = {"error", "warn", "info", "debug", "trace"};
static const char *program_name = "proctor";
static enum log_level default_level = LOG_LEVEL_INFO;
static struct log_rule rules[RULES_MAX];
static unsigned rule_count;

static bool read_level(const char *text, size_t len, enum log_level *ret_level)
{
    for (unsigned i = 0; i < sizeof level_names / sizeof *level_names; i++) {
        if (strlen(level_names[i]) == len && strncmp(level_names[i], text, len) == 0) {
            *ret_level = (enum log_level)i;
            return true;
        }
    }
    return false;
}

/* One item of $PROCTOR_LOG: `level` or `module=level`.  What we do not know is ignored. */
static void read_rule(const char *item, size_t len)
{
    enum log_level level;
    const char *equals = memchr(item, '=', len);
    if (!equals) {
        if (read_level(item, len, &level))
            default_level = level;
        return;
    }
    size_t name_len = (size_t)(equals - item);
    if (rule_count == RULES_MAX || name_len >= sizeof rules[0].module)
        return;
    if (!read_level(equals + 1, len - name_len - 1, &level))
        return;
    struct log_rule *rule = &rules[rule_count++];
    memcpy(rule->module, item, name_len);
    rule->module[name_len] = '\0';
    rule->level = level;
}

void log_init(const char *program, enum log_level fallback)
{
    program_name = program;
    default_level = fallback;
    rule_count = 0;
    const char *text = getenv("PROCTOR_LOG");
    while (text && *text) {
        size_t len = strcspn(text, ",");
        read_rule(text, len);
        text += len + (text[len] == ',');
    }
}

/* Is `module` a folder of `file` or its name without ".c"? */
static bool in_module(const char *file, const char *module)
{
    size_t len = strlen(module);
    for (const char *part = file; part; part = strchr(part, '/') ? strchr(part, '/') + 1 : NULL)
        if (strncmp(part, module, len) == 0 && (part[len] == '/' || strcmp(part + len, ".c") == 0))
            return true;
    return false;
}

bool log_enabled(enum log_level level, const char *file)
{
    enum log_level limit = default_level;
    for (unsigned i = 0; i < rule_count; i++)
        if (in_module(file, rules[i].module))
            limit = rules[i].level;
    return level <= limit;
}

static void add_head(struct buf *line, enum log_level level, const char *file)
{
    struct timespec now;
    struct tm tm;
    char stamp[32];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)gmtime_r(&now.tv_sec, &tm);
    (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &tm);
    const char *slash = strrchr(file, '/');
    const char *base = slash ? slash + 1 : file;
    (void)buf_addf(line, "%s.%03ldZ %s[%d] %-5s %.*s: ", stamp, now.tv_nsec / 1000000, program_name,
                   (int)getpid(), level_names[level], (int)strcspn(base, "."), base);
}

/* `len` without the beginning of a character that the cut went through. */
static size_t whole_characters(const char *text, size_t len)
{
    for (size_t back = 1; back < 4 && back <= len; back++)
        if (utf8_char(text + len - back, back) < 0)
            return len - back;
    return len;
}

/* The text may hold foreign words, which must not look like lines of ours or move a terminal's cursor. */
static void make_one_line(char *text)
{
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = '?';
}

static void add_text(struct buf *line, const char *fmt, va_list ap)
    __attribute__((format(printf, 2, 0)));
static void add_text(struct buf *line, const char *fmt, va_list ap)
{
    char text[TEXT_MAX_BYTES + 1];
    int len = vsnprintf(text, sizeof text, fmt, ap);
    bool cut = len > TEXT_MAX_BYTES;
    if (len < 0)
        text[0] = '\0';
    if (cut)
        text[whole_characters(text, TEXT_MAX_BYTES)] = '\0';
    make_one_line(text);
    (void)buf_addstr(line, text);
    if (cut)
        (void)buf_addstr(line, CUT_MARK);
}

void log_write(enum log_level level, const char *file, int r, const char *fmt, ...)
{
    AUTOBUF struct buf line = BUF_INIT(LINE_MAX_BYTES);
    add_head(&line, level, file);
    va_list ap;
    va_start(ap, fmt);
    add_text(&line, fmt, ap);
    va_end(ap);
    if (r < 0)
        (void)buf_addf(&line, ": %s", err_str(r));
    (void)buf_addc(&line, '\n');
    ssize_t written = write(STDERR_FILENO, line.data, line.len);
    (void)written;
}
