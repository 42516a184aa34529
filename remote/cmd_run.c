#include "remote/cmd_run.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/loop.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"
#include "lib/base/str.h"
#include "remote/cmd.h"
#include "remote/store/db.h"

enum { EXIT_USAGE = 2, OUTPUT_MAX = 64 << 20, COLUMNS_MAX = 8 };

const struct console_cmd console_cmds[] = {
    {"token",
     "  token create enrol --data DIR [--ttl 1h]\n"
     "  token create api --role ROLE --data DIR [--name NAME] [--ttl 90d|never]\n"
     "  token list --data DIR\n"
     "  token revoke ID --data DIR\n",
     "Strings that enrol one host, and tokens for programs that use the API.", cmd_token},
    {"user",
     "  user add NAME --role ROLE --data DIR [--generate]\n"
     "  user list --data DIR\n"
     "  user passwd NAME --data DIR [--generate]\n"
     "  user role NAME ROLE --data DIR\n"
     "  user remove NAME --data DIR\n",
     "Accounts.  A password is read from standard input, or asked for at a terminal; --generate "
     "makes one and prints it.",
     cmd_user},
    {"host",
     "  host list --data DIR\n"
     "  host revoke ID|NAME --data DIR\n",
     "Hosts that were enrolled.", cmd_host},
    {NULL, NULL, NULL, NULL},
};

/* ---- options --------------------------------------------------------------------------------- */

static const struct option_row {
    const char *name;
    unsigned bit; /* 0: --data */
    bool has_value;
} option_rows[] = {
    {"data", 0, true},        {"json", CMD_JSON, false}, {"role", CMD_ROLE, true},
    {"name", CMD_NAME, true}, {"ttl", CMD_TTL, true},    {"generate", CMD_GENERATE, false},
};

/* `text` without its hyphens, up to a "=". */
static const struct option_row *find_option(const char *text)
{
    size_t len = strcspn(text, "=");
    for (size_t i = 0; i < ARRAY_SIZE(option_rows); i++)
        if (strlen(option_rows[i].name) == len && strncmp(option_rows[i].name, text, len) == 0)
            return &option_rows[i];
    return NULL;
}

static int set_option(struct cmd_job *job, const struct option_row *row, const char *value)
{
    job->given |= row->bit;
    switch ((enum cmd_option)row->bit) {
    case CMD_JSON:
        job->json = true;
        return 0;
    case CMD_GENERATE:
        job->generate = true;
        return 0;
    case CMD_NAME:
        job->name = value;
        return 0;
    case CMD_TTL:
        job->ttl = value;
        return 0;
    case CMD_ROLE:
        if (role_parse(value, &job->role) == 0)
            return 0;
        return cmd_fail(job, ERR_USAGE, "--role must be viewer, operator or admin");
    }
    job->data = value;
    return 0;
}

/* The option at argv[*i], with its value, which may be the next argument. */
static int read_option(struct cmd_job *job, unsigned allowed, int argc, char **argv, int *i)
{
    const char *text = argv[*i] + 2, *equals = strchr(text, '=');
    const struct option_row *row = find_option(text);
    if (!row || (row->bit & ~allowed))
        return cmd_fail(job, ERR_USAGE, "there is no option %.*s here", (int)strcspn(argv[*i], "="),
                        argv[*i]);
    if (!row->has_value && equals)
        return cmd_fail(job, ERR_USAGE, "--%s takes no value", row->name);
    const char *value = equals ? equals + 1 : NULL;
    if (row->has_value && !value) {
        if (*i + 1 >= argc)
            return cmd_fail(job, ERR_USAGE, "--%s needs a value", row->name);
        value = argv[++*i];
    }
    if (row->has_value && !value[0])
        return cmd_fail(job, ERR_USAGE, "--%s needs a value", row->name);
    return set_option(job, row, value);
}

static int check_given(struct cmd_job *job, const struct cmd_verb *verb)
{
    if (!job->data)
        return cmd_fail(job, ERR_USAGE, "--data DIR is missing: the folder of the console");
    if (verb->required & CMD_ROLE & ~job->given)
        return cmd_fail(job, ERR_USAGE, "--role is missing: viewer, operator or admin");
    if (job->operand_count != verb->operands)
        return cmd_fail(job, ERR_USAGE,
                        job->operand_count < verb->operands ? "something is missing"
                                                            : "that is too much");
    return 0;
}

static int read_args(struct cmd_job *job, const struct cmd_verb *verb, int argc, char **argv)
{
    bool options = true;
    for (int i = 0; i < argc; i++) {
        if (options && str_eq(argv[i], "--")) {
            options = false;
        } else if (options && str_starts(argv[i], "--")) {
            int r = read_option(job, verb->options, argc, argv, &i);
            if (r < 0)
                return r;
        } else {
            if (job->operand_count < CMD_OPERANDS)
                job->operands[job->operand_count] = argv[i];
            job->operand_count++;
        }
    }
    return check_given(job, verb);
}

/* ---- running --------------------------------------------------------------------------------- */

static void print_usage(FILE *to, const struct console_cmd *command)
{
    (void)fprintf(to, "%s\nUsage: proctor-console …\n%s--json prints JSON.\n", command->help,
                  command->usage);
}

static const struct cmd_verb *find_verb(const struct cmd_verb *verbs, size_t count, int argc,
                                        char **argv, int *ret_words)
{
    for (size_t i = 0; i < count; i++) {
        int words = verbs[i].words[1] ? 2 : 1;
        if (argc - 1 < words || !str_eq(argv[1], verbs[i].words[0]))
            continue;
        if (words == 2 && !str_eq(argv[2], verbs[i].words[1]))
            continue;
        *ret_words = words;
        return &verbs[i];
    }
    return NULL;
}

static int open_db(struct cmd_job *job)
{
    AUTOFREE char *path = path_join(job->data, "console.db");
    if (access(path, F_OK) < 0)
        return cmd_fail(job, ERR_NOT_FOUND, "no console was ever started with --data %.200s",
                        job->data);
    int r = db_open(job->data, &job->db);
    return r < 0 ? cmd_fail(job, r, "cannot open the console in %.200s: %s", job->data, err_str(r))
                 : 0;
}

static int change(struct cmd_job *job, const struct cmd_verb *verb)
{
    int r = db_begin(job->db);
    if (r < 0)
        return r;
    r = verb->run(job);
    if (r < 0) {
        db_rollback(job->db);
        return r;
    }
    return db_commit(job->db);
}

static int run_verb(struct cmd_job *job, const struct cmd_verb *verb)
{
    int r = open_db(job);
    if (r == 0 && verb->before)
        r = verb->before(job);
    if (r == 0)
        r = change(job, verb);
    if (r == 0 && verb->after)
        verb->after(job);
    db_close(job->db);
    return r;
}

static int end_job(struct cmd_job *job, int r)
{
    int code = r == 0 ? EXIT_SUCCESS : r == ERR_USAGE ? EXIT_USAGE : EXIT_FAILURE;
    if (r < 0)
        (void)fprintf(stderr, "proctor-console: %s\n", job->text[0] ? job->text : err_str(r));
    else if (fwrite(buf_str(&job->out), 1, job->out.len, stdout) < job->out.len ||
             fflush(stdout) != 0)
        code = EXIT_FAILURE;
    if (job->out.data)
        secret_wipe(job->out.data, job->out.len);
    buf_clear(&job->out);
    secret_wipe(job, sizeof *job);
    return code;
}

int cmd_run(const struct console_cmd *command, const struct cmd_verb *verbs, size_t count, int argc,
            char **argv)
{
    int words = 0;
    struct cmd_job job = {.out = BUF_INIT(OUTPUT_MAX)};
    for (int i = 1; i < argc; i++) {
        if (str_eq(argv[i], "--help") || str_eq(argv[i], "-h")) {
            print_usage(stdout, command);
            return EXIT_SUCCESS;
        }
    }
    const struct cmd_verb *verb = find_verb(verbs, count, argc, argv, &words);
    int r = verb ? read_args(&job, verb, argc - 1 - words, argv + 1 + words)
                 : cmd_fail(&job, ERR_USAGE, "%s what?", command->name);
    if (r == 0)
        r = run_verb(&job, verb);
    int code = end_job(&job, r);
    if (code == EXIT_USAGE)
        print_usage(stderr, command);
    return code;
}

int cmd_fail(struct cmd_job *job, int r, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(job->text, sizeof job->text, fmt, ap);
    va_end(ap);
    return r;
}

/* ---- output ---------------------------------------------------------------------------------- */

void cmd_print(struct cmd_job *job, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    (void)buf_vaddf(&job->out, fmt, ap);
    va_end(ap);
    (void)buf_addc(&job->out, '\n');
}

void cmd_print_json(struct cmd_job *job, json_t *j)
{
    (void)json_to_buf(j, &job->out);
    (void)buf_addc(&job->out, '\n');
    json_decref(j);
}

/* Characters, as far as a terminal's columns are concerned. */
static size_t width_of(const char *text)
{
    size_t width = 0;
    for (; *text; text++)
        width += ((unsigned char)*text & 0xc0) != 0x80;
    return width;
}

/* Names come from other machines: nothing that moves a cursor. */
static void print_cell(struct cmd_job *job, const char *text, size_t width, bool last)
{
    size_t used = width_of(text);
    for (const char *c = text; *c; c++) {
        bool c1 = (unsigned char)c[0] == 0xc2 && ((unsigned char)c[1] & 0xe0) == 0x80;
        (void)buf_addc(&job->out, iscntrl((unsigned char)*c) || c1 ? '?' : *c);
        c += c1;
    }
    for (; !last && used < width + 2; used++)
        (void)buf_addc(&job->out, ' ');
}

void cmd_print_table(struct cmd_job *job, const char *const *cells, size_t columns, size_t rows)
{
    size_t widths[COLUMNS_MAX] = {0};
    for (size_t i = 0; i < rows * columns; i++) {
        size_t width = cells[i] ? width_of(cells[i]) : 1;
        if (width > widths[i % columns])
            widths[i % columns] = width;
    }
    for (size_t i = 0; i < rows * columns; i++) {
        bool last = i % columns == columns - 1;
        print_cell(job, cells[i] ? cells[i] : "-", widths[i % columns], last);
        if (last)
            (void)buf_addc(&job->out, '\n');
    }
}

char *cmd_time(int64_t ms, const char *none)
{
    char text[40];
    struct tm utc;
    time_t seconds = (time_t)(ms / 1000);
    if (ms == 0 || !gmtime_r(&seconds, &utc) ||
        !strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", &utc))
        return xstrdup(none);
    return xstrdup(text);
}

/* ---- on the way ------------------------------------------------------------------------------ */

int cmd_ttl(struct cmd_job *job, int64_t fallback, int64_t min_ms, int64_t max_ms, bool never,
            int64_t *ret_ms)
{
    int64_t us;
    *ret_ms = fallback;
    if (!job->ttl)
        return 0;
    if (never && str_eq(job->ttl, "never")) {
        *ret_ms = 0;
        return 0;
    }
    if (str_to_duration_us(job->ttl, 1000000, &us) < 0)
        return cmd_fail(job, ERR_USAGE, "--ttl must be a time like 30m, 1h or 90d%s",
                        never ? ", or never" : "");
    *ret_ms = us / 1000;
    if (*ret_ms < min_ms || *ret_ms > max_ms)
        return cmd_fail(job, ERR_USAGE, "--ttl must be %" PRId64 " s to %" PRId64 " d",
                        min_ms / 1000, max_ms / (24 * 3600 * 1000));
    return 0;
}

int cmd_audit(struct cmd_job *job, const char *what, const char *fmt, ...)
{
    struct audit_row row = {.at_ms = loop_wall_ms(), .who = "command line"};
    va_list ap;
    (void)snprintf(row.what, sizeof row.what, "%s", what);
    va_start(ap, fmt);
    (void)vsnprintf(row.text, sizeof row.text, fmt, ap);
    va_end(ap);
    return audit_add(job->db, &row);
}
