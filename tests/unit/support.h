/* support.h -- what many unit tests need: a private folder, small files, and the check that no
 * child is left. */
#pragma once

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"

static char folder[64];

/* Set-up and tear-down of a test that writes files: `folder` is its own. */
static inline int make_folder(void **state)
{
    (void)strcpy(folder, "/tmp/proctor-unit-XXXXXX");
    return mkdtemp(folder) ? 0 : -1;
}

static inline int remove_folder(void **state)
{
    AUTOFREE char *command = xasprintf("rm -rf '%s'", folder);
    return system(command);
}

/* The caller frees. */
static inline char *in_folder(const char *name)
{
    return path_join(folder, name);
}

static inline void put_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static inline void assert_file(const char *path, const char *text)
{
    AUTOBUF struct buf content = BUF_INIT(64 << 20);
    assert_int_equal(path_read(path, &content), 0);
    assert_string_equal(buf_str(&content), text);
}

static inline void assert_no_child(void)
{
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

/* Open descriptors of this process, to find those that leak. */
static inline int count_fds(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        count++;
    (void)closedir(dir);
    return count;
}
