/* proctor-analyze -- what a stored CPU or heap profile says, for the console, which never reads profiles itself.
 *
 *     proctor-analyze --offset N --length N
 *
 * Started by proctor-console: descriptor 3 is the file in which the profile stands, as one zstd frame of `length` bytes from `offset` on.
 * It prints, on standard output, one piece after the other, each "NAME LENGTH\n" and then so many bytes:
 *     top        the functions by their own cost, at most LIMIT_TABLE_ROWS       lib/profile/view.h, profile_view_table()
 *     top-total  the same by their cost with all they call
 *     tree       the call tree, at most LIMIT_TREE_NODES nodes                   profile_view_tree()
 *     end        of length 0
 * or one piece `error`: "NAME sentence" with a name of lib/base/err.h.  It ends with 0 in both cases; whatever else happens to it is for
 * the console to say. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/io.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/profile/profile.h"
#include "lib/profile/table.h"
#include "lib/profile/view.h"
#include "lib/secure/hash.h"
#include "lib/wire/blob.h"
#include "remote/analyze/sandbox.h"

enum { PROFILE_FD = 3, EXIT_USAGE = 2, NAME_BYTES = 400 };

/* A console that has gone has no use for the rest. */
static void print(const char *name, const char *data, size_t len)
{
    char head[64];
    int n = snprintf(head, sizeof head, "%s %zu\n", name, len);
    if (io_write_all(STDOUT_FILENO, head, (size_t)n) < 0 ||
        io_write_all(STDOUT_FILENO, data, len) < 0)
        exit(EXIT_FAILURE);
}

static void print_error(int r, const char *text)
{
    char line[NAME_BYTES];
    int n = snprintf(line, sizeof line, "%s %s", err_name(r), text ? text : err_str(r));
    print("error", line, n < (int)sizeof line ? (size_t)n : sizeof line - 1);
}

static int print_table(const struct profile *p, const char *name, enum profile_sort sort)
{
    struct profile_table t;
    AUTOBUF struct buf out = BUF_INIT(LIMIT_ANALYSIS_TEXT);
    int r = profile_table_init(&t, p, sort);
    if (r < 0)
        return r;
    r = profile_view_table(&out, p, &t, LIMIT_TABLE_ROWS);
    profile_table_clear(&t);
    if (r == 0)
        print(name, buf_str(&out), out.len);
    return r;
}

static int print_tree(const struct profile *p)
{
    AUTOBUF struct buf out = BUF_INIT(LIMIT_ANALYSIS_TEXT);
    int r = profile_view_tree(&out, p, LIMIT_TREE_NODES);
    if (r == 0)
        print("tree", buf_str(&out), out.len);
    return r;
}

static int analyze(const char *text, size_t len)
{
    struct profile p;
    struct profile_error error;
    int r = profile_read(&p, text, len, &error);
    if (r < 0) {
        char sentence[NAME_BYTES];
        (void)snprintf(sentence, sizeof sentence, "%s (at byte %zu)", error.text, error.offset);
        print_error(r, sentence);
        return 0;
    }
    r = print_table(&p, "top", PROFILE_BY_SELF);
    if (r == 0)
        r = print_table(&p, "top-total", PROFILE_BY_TOTAL);
    if (r == 0)
        r = print_tree(&p);
    profile_clear(&p);
    if (r == 0)
        print("end", "", 0);
    return r;
}

/* Expands into memory, which is then read like a file. */
static int expand_and_analyze(int memory, uint64_t offset, uint64_t len)
{
    struct blob_sums sums;
    int r = blob_expand(PROFILE_FD, offset, len, memory, LIMIT_PROFILE_FILE, &sums);
    if (r < 0)
        return r;
    if (sums.bytes == 0)
        return ERR_INVALID;
    char *text = mmap(NULL, sums.bytes, PROT_READ, MAP_SHARED, memory, 0);
    if (text == MAP_FAILED)
        return -errno;
    r = analyze(text, sums.bytes);
    (void)munmap(text, sums.bytes);
    return r;
}

/* What libraries open and read when they are used for the first time, they must do before the sandbox. */
static void warm_up(void)
{
    uint8_t hash[SHA256_BYTES];
    sha256("", 0, hash);
}

static int usage(void)
{
    (void)fputs("usage: proctor-analyze --offset N --length N (started by proctor-console)\n", stderr);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    int64_t offset, len;
    if (argc == 2 && str_eq(argv[1], "--version")) {
        (void)puts(PROCTOR_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc != 5 || !str_eq(argv[1], "--offset") || !str_eq(argv[3], "--length") ||
        str_to_int(argv[2], 0, INT64_MAX, &offset) < 0 ||
        str_to_int(argv[4], 1, INT64_MAX, &len) < 0)
        return usage();
    (void)signal(SIGPIPE, SIG_IGN);
    warm_up();
    AUTOCLOSE int memory = memfd_create("profile", MFD_CLOEXEC);
    int r = memory < 0 ? -errno : sandbox_enter(LIMIT_ANALYSIS_MEMORY, LIMIT_ANALYSIS_SECONDS);
    if (r == 0)
        r = expand_and_analyze(memory, (uint64_t)offset, (uint64_t)len);
    if (r < 0)
        print_error(r, NULL);
    return EXIT_SUCCESS;
}
