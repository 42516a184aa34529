/* proctor-top -- `proctor top FILE`: the most expensive functions of a CPU or heap profile of V8.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/jscan.h"
#include "lib/base/limits.h"
#include "lib/base/path.h"
#include "lib/base/std_fds.h"
#include "lib/base/str.h"
#include "lib/profile/profile.h"
#include "lib/profile/table.h"
#include "supervisor/cli/top/report.h"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

enum { DEFAULT_ROWS = 20, DEFAULT_COLUMNS = 80 };

static const char usage[] =
    "usage: proctor top FILE [-n N] [--sort self|total] [--json]\n"
    "\n"
    "Prints the most expensive functions of a .cpuprofile or .heapprofile of V8.\n"
    "  -n N          show N functions (default 20; with --json all)\n"
    "  --sort WHAT   by their own cost (self, the default) or with all they call (total)\n"
    "  --json        the same as one JSON object; times in microseconds, sizes in bytes\n";

struct options {
    const char *file;
    int64_t rows; /* 0: the default */
    enum profile_sort sort;
    bool json;
    bool help;
};

struct mapping {
    char *text;
    size_t len;
};

static int wrong_use(const char *what, const char *value)
{
    (void)fprintf(stderr, "proctor top: %s%s\n%.*s", what, value, (int)strcspn(usage, "\n") + 1,
                  usage);
    return EXIT_USAGE;
}

/* `word`: the last one that getopt_long() took; behind a bundle of short options it is not the one
 * at fault. */
static int unknown_option(const char *word)
{
    char letter[] = {'-', (char)optopt, '\0'};
    if (str_starts(word, "--"))
        return wrong_use(optopt ? "this option takes no value: " : "unknown option ", word);
    return wrong_use("unknown option ", letter);
}

/* Returns EXIT_DONE or EXIT_USAGE. */
static int read_options(int argc, char **argv, struct options *o)
{
    static const struct option names[] = {{"sort", required_argument, NULL, 's'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":n:h", names, NULL)) != -1;) {
        switch (c) {
        case 'n':
            if (str_to_int(optarg, 1, LIMIT_PROFILE_NODES, &o->rows) < 0)
                return wrong_use("-n needs a number from 1 on, not ", optarg);
            break;
        case 's':
            if (!str_eq(optarg, "self") && !str_eq(optarg, "total"))
                return wrong_use("--sort is self or total, not ", optarg);
            o->sort = str_eq(optarg, "self") ? PROFILE_BY_SELF : PROFILE_BY_TOTAL;
            break;
        case 'j':
            o->json = true;
            break;
        case 'h':
            o->help = true;
            return EXIT_DONE;
        case ':':
            return wrong_use("a value is missing behind ", argv[optind - 1]);
        default:
            return unknown_option(argv[optind - 1]);
        }
    }
    if (optind == argc)
        return wrong_use("which file?", "");
    if (optind + 1 < argc)
        return wrong_use("one file at a time, not also ", argv[optind + 1]);
    o->file = argv[optind];
    return EXIT_DONE;
}

static int fail(const char *file, const char *what)
{
    (void)fprintf(stderr, "proctor top: %s: %s\n", file, what);
    return EXIT_FAILED;
}

/* The file may become shorter while we read it; the kernel then has no page to show and sends
 * SIGBUS. */
static char shrunk[4096 + 128];
static size_t shrunk_len;

static void on_sigbus(int signal)
{
    (void)!write(STDERR_FILENO, shrunk, shrunk_len);
    _exit(EXIT_FAILED);
}

static void watch_sigbus(const char *file)
{
    int len = snprintf(shrunk, sizeof shrunk,
                       "proctor top: %s: the file became shorter while it was read\n", file);
    shrunk_len = (size_t)len < sizeof shrunk ? (size_t)len : sizeof shrunk - 1;
    struct sigaction action = {.sa_handler = on_sigbus};
    (void)sigaction(SIGBUS, &action, NULL);
}

static int map_file(const char *file, struct mapping *ret_mapping)
{
    /* Not blocking: a FIFO is refused below, and must not be waited for. */
    AUTOCLOSE int fd = open(file, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        return fail(file, err_str(-errno));
    if (S_ISDIR(st.st_mode))
        return fail(file, "is a directory");
    if (!S_ISREG(st.st_mode))
        return fail(file, "is not a regular file");
    if (st.st_size == 0)
        return fail(file, "the file is empty");
    if ((uint64_t)st.st_size > LIMIT_PROFILE_FILE)
        return fail(file, "is larger than 4 GiB, the most that is read");
    void *text = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (text == MAP_FAILED)
        return fail(file, err_str(-errno));
    (void)madvise(text, (size_t)st.st_size, MADV_SEQUENTIAL);
    *ret_mapping = (struct mapping){.text = text, .len = (size_t)st.st_size};
    return EXIT_DONE;
}

/* V8 writes a profile as one line: the column says more than the line. */
static int refuse(const char *file, const struct mapping *m, const struct profile_error *error)
{
    struct jscan s;
    unsigned line, column;
    jscan_init(&s, m->text, m->len, 0);
    jscan_position(&s, error->offset, &line, &column);
    (void)fprintf(stderr, "proctor top: %s:%u: %s (column %u)\n", file, line, error->text, column);
    return EXIT_FAILED;
}

static unsigned terminal_width(void)
{
    struct winsize size;
    if (!isatty(STDOUT_FILENO))
        return 0;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col == 0)
        return DEFAULT_COLUMNS;
    return size.ws_col;
}

static int make_report(const struct options *o, const struct profile *p, struct buf *out)
{
    struct profile_table table;
    int r = profile_table_init(&table, p, o->sort);
    if (r < 0)
        return r;
    AUTOFREE char *cwd = path_cwd();
    size_t rows = o->json ? SIZE_MAX : DEFAULT_ROWS;
    struct report report = {.profile = p,
                            .table = &table,
                            .limit = o->rows > 0 ? (size_t)o->rows : rows,
                            .width = terminal_width(),
                            .cwd = cwd};
    r = o->json ? report_json(out, &report) : report_text(out, &report);
    profile_table_clear(&table);
    return r;
}

/* A reader that went away early (`| head`) has what it wanted. */
static int print(const char *data, size_t left)
{
    while (left > 0) {
        ssize_t n = write(STDOUT_FILENO, data, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EPIPE ? EXIT_DONE : fail("standard output", err_str(-errno));
        data += n;
        left -= (size_t)n;
    }
    return EXIT_DONE;
}

static int show(const struct options *o, const struct mapping *m)
{
    struct profile p;
    struct profile_error error;
    if (profile_read(&p, m->text, m->len, &error) < 0)
        return refuse(o->file, m, &error);
    AUTOBUF struct buf out = BUF_INIT(LIMIT_RESULT);
    int r = make_report(o, &p, &out);
    profile_clear(&p);
    return r < 0 ? fail(o->file, err_str(r)) : print(buf_str(&out), out.len);
}

int main(int argc, char **argv)
{
    struct options o = {.sort = PROFILE_BY_SELF};
    struct mapping m;
    std_fds_occupy();
    (void)signal(SIGPIPE, SIG_IGN);
    int status = read_options(argc, argv, &o);
    if (status != EXIT_DONE)
        return status;
    if (o.help)
        return print(usage, strlen(usage));
    watch_sigbus(o.file);
    status = map_file(o.file, &m);
    if (status != EXIT_DONE)
        return status;
    status = show(&o, &m);
    (void)munmap(m.text, m.len);
    return status;
}
