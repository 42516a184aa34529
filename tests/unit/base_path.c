#include "lib/base/path.h"

#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "lib/base/err.h"

static void assert_path(char *taken, const char *expected)
{
    AUTOFREE char *path = taken;
    assert_string_equal(path, expected);
}

static void joins_names_to_folders(void **state)
{
    assert_path(path_join("/a", "b"), "/a/b");
    assert_path(path_join("/a/", "b"), "/a/b");
    assert_path(path_join("a", "b/c"), "a/b/c");
    assert_path(path_join("/a", "/b"), "/b");
    assert_path(path_join("/", "b"), "/b");
    assert_string_equal(path_base("/a/b.js"), "b.js");
    assert_string_equal(path_base("b.js"), "b.js");
    assert_string_equal(path_base("/a/"), "");
}

static void takes_dots_out_by_text(void **state)
{
    assert_path(path_resolve("/a/b", "c"), "/a/b/c");
    assert_path(path_resolve("/a/b", "./c/./d/."), "/a/b/c/d");
    assert_path(path_resolve("/a/b", "../c"), "/a/c");
    assert_path(path_resolve("/a/b", "../../../../c"), "/c");
    assert_path(path_resolve("/a/b", ".."), "/a");
    assert_path(path_resolve("/a", ".."), "/");
    assert_path(path_resolve("/", "."), "/");
    assert_path(path_resolve("/a//b///", "c//d/"), "/a/b/c/d");
    assert_path(path_resolve("/a", ".../..b/c.."), "/a/.../..b/c..");
    assert_path(path_resolve("/a", "/b/../c"), "/c");
}

static void a_tilde_is_the_home_folder(void **state)
{
    AUTOFREE char *before = xstrdup_null(getenv("HOME"));
    assert_int_equal(setenv("HOME", "/home/me", 1), 0);
    assert_path(path_resolve("/a", "~"), "/home/me");
    assert_path(path_resolve("/a", "~/x/../y"), "/home/me/y");
    assert_path(path_resolve("/a", "~me/x"), "/a/~me/x");
    assert_path(path_resolve("/a", "x/~"), "/a/x/~");
    assert_int_equal(setenv("PROCTOR_HOME", "", 1), 0);
    assert_path(path_home(), "/home/me/.proctor");
    assert_int_equal(setenv("PROCTOR_HOME", "~/p", 1), 0);
    assert_path(path_home(), "/home/me/p");
    assert_int_equal(setenv("PROCTOR_HOME", "/srv/p/", 1), 0);
    assert_path(path_home(), "/srv/p");
    assert_int_equal(unsetenv("PROCTOR_HOME"), 0);
    /* A home that is not absolute is none. */
    assert_int_equal(setenv("HOME", "relative", 1), 0);
    AUTOFREE char *home = path_home();
    assert_int_equal(home[0], '/');
    if (before)
        assert_int_equal(setenv("HOME", before, 1), 0);
}

static void links_stay_as_written(void **state)
{
    AUTOFREE char *real = in_folder("real"), *link = in_folder("link"),
                  *file = in_folder("real/file");
    assert_int_equal(mkdir(real, 0700), 0);
    assert_int_equal(symlink("real", link), 0);
    put_file(file, "x");
    AUTOFREE char *expected = in_folder("link/file");
    assert_path(path_resolve(link, "file"), expected);

    AUTOFREE char *before = getcwd(NULL, 0);
    AUTOFREE char *pwd = xstrdup_null(getenv("PWD"));
    assert_int_equal(chdir(link), 0);
    assert_int_equal(setenv("PWD", link, 1), 0);
    assert_path(path_cwd(), link);
    /* A $PWD that is another place, or none, is not believed. */
    assert_int_equal(setenv("PWD", "/", 1), 0);
    assert_path(path_cwd(), real);
    assert_int_equal(unsetenv("PWD"), 0);
    assert_path(path_cwd(), real);
    assert_int_equal(chdir(before), 0);
    if (pwd)
        assert_int_equal(setenv("PWD", pwd, 1), 0);
}

static void finds_programs(void **state)
{
    AUTOFREE char *bin = in_folder("bin"), *tool = in_folder("bin/tool"),
                  *text = in_folder("bin/text");
    assert_int_equal(mkdir(bin, 0700), 0);
    put_file(tool, "#!/bin/sh\n");
    put_file(text, "no program\n");
    assert_int_equal(chmod(tool, 0700), 0);
    AUTOFREE char *search = xasprintf("/nowhere:%s:/bin", bin);
    assert_path(path_find_program(folder, "tool", search), tool);
    assert_path(path_find_program(folder, "bin/tool", NULL), tool);
    assert_path(path_find_program(bin, "./tool", NULL), tool);
    assert_path(path_find_program(bin, "tool", ":/bin"), tool);
    assert_path(path_find_program(bin, "tool", "/nowhere:"), tool);
    assert_null(path_find_program(folder, "text", search));
    assert_null(path_find_program(folder, "bin", folder));
    assert_null(path_find_program(folder, "bin/none", search));
    AUTOFREE char *sh = path_find_program(folder, "sh", NULL);
    assert_non_null(sh);
}

static void siblings_lie_beside_the_program(void **state)
{
    char self[4096] = "";
    assert_true(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    assert_path(path_sibling(path_base(self)), self);
    AUTOFREE char *other = path_sibling("no-such-program");
    assert_string_equal(other, LIBEXECDIR "/no-such-program");
}

static void makes_a_folder_or_finds_one(void **state)
{
    AUTOFREE char *path = in_folder("new"), *file = in_folder("file"), *deep = in_folder("x/y");
    struct stat st;
    assert_int_equal(path_mkdir(path, 0700), 0);
    assert_int_equal(path_mkdir(path, 0700), 0);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0700);
    put_file(file, "");
    assert_int_equal(path_mkdir(file, 0700), -ENOTDIR);
    assert_int_equal(path_mkdir(deep, 0700), -ENOENT);
}

static void reads_files_up_to_the_limit(void **state)
{
    AUTOFREE char *path = in_folder("file"), *none = in_folder("none");
    AUTOBUF struct buf b = BUF_INIT(100000);
    assert_int_equal(path_read(none, &b), -ENOENT);
    assert_int_equal(path_read(folder, &b), -EISDIR);
    AUTOFREE char *fifo = in_folder("fifo");
    assert_int_equal(mkfifo(fifo, 0600), 0);
    assert_int_equal(path_read(fifo, &b), ERR_NO_FILE);
    assert_int_equal(path_read("/dev/zero", &b), ERR_NO_FILE);
    AUTOFREE char *text = xcalloc(1, 100001);
    memset(text, 'x', 100000);
    put_file(path, text);
    assert_int_equal(path_read(path, &b), 0);
    assert_int_equal(b.len, 100000);
    buf_reset(&b);
    assert_int_equal(buf_addc(&b, 'y'), 0);
    assert_int_equal(path_read(path, &b), ERR_TOO_BIG);
}

static void writes_files_whole(void **state)
{
    AUTOFREE char *path = in_folder("file"), *temp = in_folder("file.tmp");
    struct stat st;
    assert_int_equal(path_write_atomic(path, "one", 3, 0600), 0);
    assert_file(path, "one");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    /* The rest of an attempt that was killed is no hindrance. */
    put_file(temp, "half of something longer");
    assert_int_equal(path_write_atomic(path, "two", 3, 0600), 0);
    assert_file(path, "two");
    assert_int_equal(access(temp, F_OK), -1);
    assert_int_equal(path_write_atomic(path, "", 0, 0600), 0);
    assert_file(path, "");
}

static void a_failed_write_leaves_the_old_content(void **state)
{
    AUTOFREE char *path = in_folder("file"), *temp = in_folder("file.tmp"),
                  *deep = in_folder("x/file");
    put_file(path, "old");
    assert_int_equal(path_write_atomic(deep, "new", 3, 0600), -ENOENT);
    /* The temporary file cannot be made, nor be a link that leads elsewhere. */
    assert_int_equal(mkdir(temp, 0700), 0);
    assert_int_equal(path_write_atomic(path, "new", 3, 0600), -EISDIR);
    assert_int_equal(rmdir(temp), 0);
    assert_int_equal(symlink("elsewhere", temp), 0);
    assert_int_equal(path_write_atomic(path, "new", 3, 0600), -ELOOP);
    assert_file(path, "old");
    /* The rename fails: a folder is in the way. */
    AUTOFREE char *taken = in_folder("folder"), *inside = in_folder("folder/x");
    assert_int_equal(mkdir(taken, 0700), 0);
    put_file(inside, "");
    assert_true(path_write_atomic(taken, "new", 3, 0600) < 0);
    AUTOFREE char *left = in_folder("folder.tmp");
    assert_int_equal(access(left, F_OK), -1);
}

static void a_folder_that_is_not_writable_leaves_the_old_content(void **state)
{
    if (getuid() == 0)
        skip(); /* root may write everywhere */
    AUTOFREE char *path = in_folder("file");
    put_file(path, "old");
    assert_int_equal(chmod(folder, 0500), 0);
    assert_int_equal(path_write_atomic(path, "new", 3, 0600), -EACCES);
    assert_int_equal(chmod(folder, 0700), 0);
    assert_file(path, "old");
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, make_folder, remove_folder)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_names_to_folders),
        cmocka_unit_test(takes_dots_out_by_text),
        cmocka_unit_test(a_tilde_is_the_home_folder),
        IN_FOLDER(links_stay_as_written),
        IN_FOLDER(finds_programs),
        cmocka_unit_test(siblings_lie_beside_the_program),
        IN_FOLDER(makes_a_folder_or_finds_one),
        IN_FOLDER(reads_files_up_to_the_limit),
        IN_FOLDER(writes_files_whole),
        IN_FOLDER(a_failed_write_leaves_the_old_content),
        IN_FOLDER(a_folder_that_is_not_writable_leaves_the_old_content),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
