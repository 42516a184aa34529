/* proctor-analyze -- what a stored CPU or heap profile says, for the console, which never reads profiles itself.
 *
 *     proctor-analyze --offset N --length N --bytes N
 *
 * Started by proctor-console: descriptor 3 is the file in which the profile stands, as one zstd frame of `length` bytes from `offset` on
 * that makes `bytes` bytes.
 * It prints, on standard output, one piece after the other, each "NAME LENGTH\n" and then so many bytes:
 *     top        the functions by their own cost, at most LIMIT_TABLE_ROWS       lib/profile/view.h, profile_view_table()
 *     top-total  the same by their cost with all they call
 *     tree       the call tree, at most LIMIT_TREE_NODES nodes                   profile_view_tree()
 *     end        of length 0
 * or one piece `error`: "NAME sentence" with a name of lib/base/err.h.  A piece `note` before them is a sentence for the console's log.
 * It ends with 0 in all cases; whatever else happens to it is for the console to say. */
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
#include "lib/pack/zstd.h"
#include "lib/profile/profile.h"
#include "lib/profile/table.h"
#include "lib/profile/view.h"
#include "remote/analyze/sandbox.h"

enum { PROFILE_FD = 3, EXIT_USAGE = 2, NAME_BYTES = 400, READ_BYTES = 64 << 10 };

static const char no_seccomp[] = "this kernel has no seccomp: only limits of memory and time are "
                                 "around the analysis of profiles";

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
    if (r == -ENOMEM)
        return r;
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

/* ---- the stored result ----------------------------------------------------------------------- */

struct source {
    uint64_t offset, len; /* in the file, of what was not read yet */
    char in[READ_BYTES];
    size_t at, have; /* of `in`: from where to where it is not used yet */
};

static int read_more(struct source *s)
{
    ssize_t n;
    do
        n = pread(PROFILE_FD, s->in, s->len < READ_BYTES ? (size_t)s->len : READ_BYTES,
                  (off_t)s->offset);
    while (n < 0 && errno == EINTR);
    if (n <= 0)
        return n < 0 ? -errno : ERR_MISMATCH;
    s->offset += (uint64_t)n;
    s->len -= (uint64_t)n;
    s->at = 0;
    s->have = (size_t)n;
    return 0;
}

/* Fills `text` with the one frame, which must make exactly `bytes`. */
static int expand(struct source *s, struct zstd_reader *z, char *text, size_t bytes)
{
    size_t made = 0;
    for (int whole = 0; whole == 0;) {
        struct pack_step step;
        int r = s->at == s->have && s->len > 0 ? read_more(s) : 0;
        if (r < 0)
            return r;
        whole =
            zstd_reader_step(z, s->in + s->at, s->have - s->at, text + made, bytes - made, &step);
        if (whole < 0)
            return whole;
        s->at += step.used;
        made += step.made;
        if (whole == 0 && step.used == 0 && step.made == 0 && (s->len == 0 || s->at < s->have))
            return ERR_MISMATCH;
    }
    bool exact = made == bytes && s->at == s->have && s->len == 0;
    return exact ? 0 : ERR_MISMATCH;
}

/* In memory that counts (RLIMIT_AS) -- a file in memory would not. */
static int expand_and_analyze(uint64_t offset, uint64_t len, size_t bytes)
{
    static struct source source;
    source.offset = offset;
    source.len = len;
    char *text = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (text == MAP_FAILED)
        return -errno;
    struct zstd_reader *z = zstd_reader_new(bytes);
    int r = expand(&source, z, text, bytes);
    zstd_reader_free(z);
    if (r == ERR_SYNTAX || r == ERR_TOO_BIG)
        r = ERR_MISMATCH;
    if (r == 0)
        r = analyze(text, bytes);
    (void)munmap(text, bytes);
    return r;
}

/* ---- the program ----------------------------------------------------------------------------- */

static int usage(void)
{
    (void)fputs(
        "usage: proctor-analyze --offset N --length N --bytes N (started by proctor-console)\n",
        stderr);
    return EXIT_USAGE;
}

static int run(uint64_t offset, uint64_t len, uint64_t bytes)
{
    int r = sandbox_enter(LIMIT_ANALYSIS_MEMORY, LIMIT_ANALYSIS_SECONDS);
    if (r < 0)
        return r;
    if (r == SANDBOX_NO_SECCOMP)
        print("note", no_seccomp, sizeof no_seccomp - 1);
    return expand_and_analyze(offset, len, (size_t)bytes);
}

int main(int argc, char **argv)
{
    int64_t offset, len, bytes;
    if (argc == 2 && str_eq(argv[1], "--version")) {
        (void)puts(PROCTOR_VERSION);
        return EXIT_SUCCESS;
    }
    if (argc != 7 || !str_eq(argv[1], "--offset") || !str_eq(argv[3], "--length") ||
        !str_eq(argv[5], "--bytes") || str_to_int(argv[2], 0, INT64_MAX, &offset) < 0 ||
        str_to_int(argv[4], 1, INT64_MAX, &len) < 0 ||
        str_to_int(argv[6], 1, LIMIT_ANALYSIS_RESULT, &bytes) < 0)
        return usage();
    (void)signal(SIGPIPE, SIG_IGN);
    int r = run((uint64_t)offset, (uint64_t)len, (uint64_t)bytes);
    if (r == -ENOMEM)
        print_error(ERR_TOO_BIG, "it takes more memory than an analysis may have: download it");
    else if (r < 0)
        print_error(r, NULL);
    return EXIT_SUCCESS;
}
