/* proctor-unpack -- from standard input to standard output: the archive of a log becomes text.  A program of its own, so that
 * `proctor` need not load zstd for every command. */
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include "lib/base/err.h"
#include "lib/pack/zst_file.h"

int main(int argc, char **argv)
{
    if (argc != 1) {
        (void)fprintf(stderr, "usage: proctor-unpack < ARCHIVE\n");
        return 2;
    }
    int r = zst_file_unpack(STDIN_FILENO, STDOUT_FILENO, UINT64_MAX);
    if (r < 0)
        (void)fprintf(stderr, "proctor-unpack: %s\n", err_str(r));
    return r < 0 ? 1 : 0;
}
