#include "supervisor/cli/token_file.h"

#include "tests/unit/support.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "supervisor/cli/cmd.h"

static char *path;
static char token[TOKEN_FILE_BYTES + 1];
static char said[2000]; /* on standard error, by the last call */

static int set_up(void **state)
{
    if (make_folder(state) < 0)
        return -1;
    path = in_folder("token");
    return 0;
}

static int tear_down(void **state)
{
    free(path);
    return remove_folder(state);
}

static int read_token(const char *from, enum token_file_rule rule)
{
    AUTOFREE char *file = in_folder("said");
    AUTOCLOSE int to = open(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    AUTOCLOSE int before = dup(STDERR_FILENO);
    assert_true(to >= 0 && before >= 0);
    (void)dup2(to, STDERR_FILENO);
    memset(token, 'x', sizeof token);
    int code = token_file_read(from, rule, token);
    (void)dup2(before, STDERR_FILENO);
    ssize_t len = pread(to, said, sizeof said - 1, 0);
    assert_true(len >= 0);
    said[len] = '\0';
    assert_true(code == CMD_DONE || len > 0);
    return code;
}

static void put(const char *text, mode_t mode)
{
    put_file(path, text);
    assert_int_equal(chmod(path, mode), 0);
}

static void the_white_space_around_a_token_is_cut_off(void **state)
{
    static const char *const texts[] = {"pt1.abc", "pt1.abc\n", "  \t\r\npt1.abc \r\n\n"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        put(texts[i], 0600);
        assert_int_equal(read_token(path, TOKEN_FILE_REFUSE), CMD_DONE);
        assert_string_equal(token, "pt1.abc");
        assert_string_equal(said, "");
    }
}

static void what_is_no_token_is_refused_without_being_told(void **state)
{
    static const struct {
        const char *text;
        const char *part;
    } rows[] = {
        {"", "no token in it"},
        {" \n\n", "no token in it"},
        {"pt1.secret pt1.other\n", "more than one token, or none"},
        {"pt1.secret\npt1.other\n", "more than one token, or none"},
        {"secret\x01\n", "more than one token, or none"},
        {"secret\xc3\xa4\n", "more than one token, or none"},
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        put(rows[i].text, 0600);
        assert_int_equal(read_token(path, TOKEN_FILE_REFUSE), CMD_FAILED);
        assert_non_null(strstr(said, rows[i].part));
        assert_null(strstr(said, "secret"));
    }
}

static void a_file_that_is_too_large_is_refused(void **state)
{
    char text[TOKEN_FILE_BYTES + 2] = "";
    memset(text, 'x', TOKEN_FILE_BYTES);
    put(text, 0600);
    assert_int_equal(read_token(path, TOKEN_FILE_REFUSE), CMD_DONE);
    assert_int_equal(strlen(token), TOKEN_FILE_BYTES);
    text[TOKEN_FILE_BYTES] = 'x';
    put(text, 0600);
    assert_int_equal(read_token(path, TOKEN_FILE_REFUSE), CMD_FAILED);
    assert_non_null(strstr(said, "larger than 4096 bytes"));
}

static void a_file_that_others_can_read_is_refused_or_warned_of(void **state)
{
    static const mode_t modes[] = {0640, 0604, 0620, 0601, 0666};
    for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
        put("pa1.x", modes[i]);
        assert_int_equal(read_token(path, TOKEN_FILE_REFUSE), CMD_FAILED);
        assert_non_null(strstr(said, "can be read by others"));
        assert_non_null(strstr(said, "chmod 600"));
        assert_int_equal(read_token(path, TOKEN_FILE_WARN), CMD_DONE);
        assert_non_null(strstr(said, "warning: "));
        assert_string_equal(token, "pa1.x");
    }
    put("pa1.x", 0400);
    assert_int_equal(read_token(path, TOKEN_FILE_REFUSE), CMD_DONE);
}

static void no_file_and_a_folder_are_told(void **state)
{
    AUTOFREE char *missing = in_folder("missing");
    assert_int_equal(read_token(missing, TOKEN_FILE_REFUSE), CMD_FAILED);
    assert_non_null(strstr(said, "No such file"));
    assert_int_equal(read_token(folder, TOKEN_FILE_REFUSE), CMD_FAILED);
    assert_non_null(strstr(said, "directory"));
}

/* `proctor link <(tool)`, and standard input. */
static void a_pipe_is_read_to_its_end(void **state)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], " pt1.x\n", 7), 7);
    (void)close(ends[1]);
    AUTOFREE char *name = xasprintf("/dev/fd/%d", ends[0]);
    assert_int_equal(read_token(name, TOKEN_FILE_REFUSE), CMD_DONE);
    assert_string_equal(token, "pt1.x");
    (void)close(ends[0]);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "pt1.y", 5), 5);
    (void)close(ends[1]);
    AUTOCLOSE int before = dup(STDIN_FILENO);
    (void)dup2(ends[0], STDIN_FILENO);
    assert_int_equal(read_token("-", TOKEN_FILE_WARN), CMD_DONE);
    assert_string_equal(token, "pt1.y");
    (void)dup2(before, STDIN_FILENO);
    (void)close(ends[0]);
}

#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_FOLDER(the_white_space_around_a_token_is_cut_off),
        IN_FOLDER(what_is_no_token_is_refused_without_being_told),
        IN_FOLDER(a_file_that_is_too_large_is_refused),
        IN_FOLDER(a_file_that_others_can_read_is_refused_or_warned_of),
        IN_FOLDER(no_file_and_a_folder_are_told),
        IN_FOLDER(a_pipe_is_read_to_its_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
