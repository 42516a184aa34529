/* Any bytes as an app's stderr, in pieces of any size: KEEP and CUT cover the input exactly and in
 * order, only whole lines of the inspector are cut, and what has none of its markers is kept byte
 * for byte.  The first bytes of the input say how it is cut into pieces and what the port answers.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/str.h"
#include "supervisor/stderr_lines.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct run {
    struct stderr_lines f;
    bool confirms;
    unsigned seen;
    unsigned cut;
};

static enum stderr_answer confirm(void *arg, unsigned port, const char *path, bool urgent)
{
    struct run *run = arg;
    assert(port > 0 && port <= 65535 && strlen(path) > 0 && strlen(path) < INSPECTOR_PATH_MAX);
    return run->confirms;
}

static void seen(void *arg, enum inspector_line kind, unsigned port, const char *path)
{
    struct run *run = arg;
    run->seen++;
    assert(kind <= INSPECTOR_HELP);
    assert((kind == INSPECTOR_LISTENING || kind == INSPECTOR_ENDING) == (port > 0));
}

static void check_cut(struct run *run, const char *line, size_t len)
{
    run->cut++;
    assert(run->cut == run->seen);
    assert(line[len - 1] == '\n' && memchr(line, '\n', len) == line + len - 1);
    AUTOFREE char *text = strndup(line, len);
    assert(str_starts(text, "Debugger ") || str_starts(text, "Waiting for the debugger ") ||
           str_starts(text, "For help"));
    if (str_starts(text, "Debugger listening") || str_starts(text, "Debugger ending"))
        assert(run->confirms);
}

/* Judges what has come up to `end`; where it stopped. */
static size_t judge(struct run *run, const char *text, size_t done, size_t end, bool last)
{
    while (done < end) {
        size_t len = 0;
        /* A copy of its own, so that a look behind its end is found. */
        char *piece = malloc(end - done);
        memcpy(piece, text + done, end - done);
        enum stderr_verdict verdict =
            stderr_lines_next(&run->f, piece, end - done, last, true, &len);
        free(piece);
        if (verdict == STDERR_WAIT) {
            assert(!last);
            /* Never for a whole line, nor for more than a line of the inspector can be. */
            assert(!memchr(text + done, '\n', end - done) && end - done < 1000);
            return done;
        }
        assert(len > 0 && len <= end - done);
        if (verdict == STDERR_CUT)
            check_cut(run, text + done, len);
        done += len;
    }
    return done;
}

static bool has_marker(const char *text, size_t len)
{
    static const char *const markers[] = {"Debugger ", "Waiting for the debugger", "For help"};
    for (size_t i = 0; i < ARRAY_SIZE(markers); i++)
        if (memmem(text, len, markers[i], strlen(markers[i])))
            return true;
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 3)
        return 0;
    size_t step = (size_t)data[0] + 1, waits = data[2] % 8;
    struct run run = {.confirms = data[1] & 1};
    stderr_lines_init(&run.f, confirm, seen, &run);
    run.f.attach_expected = (data[1] >> 1) % 4;
    const char *text = (const char *)data + 3;
    size_t len = size - 3, done = 0;
    for (size_t end = 0, turn = 1; end < len; turn++) {
        end = step < len - end ? end + step : len;
        /* From time to time patience is over. */
        done = judge(&run, text, done, end, waits && turn % waits == 0);
    }
    done = judge(&run, text, done, len, true);
    assert(done == len);
    assert(run.cut == 0 || has_marker(text, len));
    return 0;
}
