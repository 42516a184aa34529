#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ecosystem/config_error.h"
#include "ecosystem/option_set.h"
#include "ecosystem/resolve.h"
#include "ecosystem/spec.h"
#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/mem.h"
#include "lib/base/path.h"

/* A folder of its own with programs in bin/ and files to start. */
static char top[] = "/tmp/resolve-XXXXXX";
static struct strlist environment;

static char *at(const char *name)
{
    return path_join(top, name);
}

static void make_file(const char *name, const char *content, size_t len, mode_t mode)
{
    AUTOFREE char *path = at(name);
    AUTOCLOSE int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
}

static void make_folder(const char *name)
{
    AUTOFREE char *path = at(name);
    assert_int_equal(mkdir(path, 0700), 0);
}

static int make_all(void **state)
{
    static const char hashbang[] = "#!/bin/sh\n";
    static const char *const programs[] = {"bin/node", "bin/bash", "bin/python3", "bin/tool",
                                           "own/node"};
    assert_non_null(mkdtemp(top));
    make_folder("bin");
    make_folder("own");
    make_folder("app");
    make_folder("app/dir");
    for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
        make_file(programs[i], hashbang, sizeof hashbang - 1, 0700);
    make_file("app/server.js", "1", 1, 0600);
    make_file("app/job.PY", "1", 1, 0600);
    make_file("app/x.rb", "1", 1, 0600);
    make_file("app/my app.js", "1", 1, 0600);
    make_file("app/text", "1", 1, 0600);
    make_file("app/all.js", "1", 1, 0600);
    make_file("app/www", hashbang, sizeof hashbang - 1, 0700);
    make_file("app/elf",
              "\x7f"
              "ELF\0\0",
              6, 0700);
    make_file("app/noexec",
              "\x7f"
              "ELF\0\0",
              6, 0600);
    AUTOFREE char *app = at("app"), *link = at("link");
    assert_int_equal(symlink(app, link), 0);
    strlist_addf(&environment, "PATH=%s/bin", top);
    return 0;
}

static int remove_all(void **state)
{
    AUTOFREE char *command = xasprintf("rm -rf '%s'", top);
    strlist_clear(&environment);
    return system(command);
}

/* A spec from pairs of key and text, ended by NULL, resolved in app/. */
static int resolve(struct app_spec *spec, struct config_error *error, const char *const *pairs)
{
    AUTOFREE char *app = at("app");
    app_spec_init(spec);
    for (; *pairs; pairs += 2)
        assert_int_equal(app_spec_set(spec, pairs[0], pairs[1], error), 0);
    return app_spec_resolve(spec, app, &environment, error);
}

static void expect(const struct app_spec *spec, const char *name, const char *script,
                   const char *interpreter)
{
    AUTOFREE char *script_path = at(script), *interpreter_path = at(interpreter);
    assert_string_equal(spec->name, name);
    assert_string_equal(spec->script, script_path);
    assert_string_equal(spec->interpreter,
                        strcmp(interpreter, "none") == 0 ? interpreter : interpreter_path);
}

#define PAIRS(...) ((const char *const[]){__VA_ARGS__, NULL})

#define RESOLVES(name, script, interpreter, ...)                                                   \
    do {                                                                                           \
        struct config_error error = {0};                                                           \
        AUTOSPEC struct app_spec spec = {0};                                                       \
        if (resolve(&spec, &error, PAIRS(__VA_ARGS__)) < 0)                                        \
            fail_msg("%s: %s", error.key, error.text);                                             \
        expect(&spec, name, script, interpreter);                                                  \
    } while (0)

static void refuses(const char *key, const char *sentence, const char *const *pairs)
{
    struct config_error error;
    AUTOSPEC struct app_spec spec = {0};
    AUTOFREE char *whole = NULL;
    assert_int_equal(resolve(&spec, &error, pairs), ERR_INVALID);
    assert_string_equal(error.key, key);
    /* "@" stands for the folder. */
    const char *mark = strchr(sentence, '@'), *again = mark ? strchr(mark + 1, '@') : NULL;
    if (again)
        whole = xasprintf("%.*s%s%.*s%s%s", (int)(mark - sentence), sentence, top,
                          (int)(again - mark - 1), mark + 1, top, again + 1);
    else if (mark)
        whole = xasprintf("%.*s%s%s", (int)(mark - sentence), sentence, top, mark + 1);
    assert_string_equal(error.text, whole ? whole : sentence);
}

static void chooses_the_interpreter_by_extension(void **state)
{
    RESOLVES("server", "app/server.js", "bin/node", "script", "server.js");
    RESOLVES("server", "app/server.js", "bin/node", "script", "./dir/../server.js");
    RESOLVES("job", "app/job.PY", "bin/python3", "script", "job.PY");
    RESOLVES("my app", "app/my app.js", "bin/node", "script", "my app.js");
}

static void chooses_by_content_where_the_extension_says_nothing(void **state)
{
    RESOLVES("text", "app/text", "bin/node", "script", "text");
    RESOLVES("www", "app/www", "none", "script", "www");
    RESOLVES("www", "app/www", "bin/node", "script", "www", "node_args", "--x");
    RESOLVES("elf", "app/elf", "none", "script", "elf");
    refuses("script", "@/app/noexec is a program without the permission to execute it (chmod +x)",
            PAIRS("script", "noexec"));
}

static void takes_the_interpreter_that_was_chosen(void **state)
{
    RESOLVES("x", "app/server.js", "bin/tool", "script", "server.js", "interpreter", "tool", "name",
             "x");
    RESOLVES("server", "app/server.js", "own/node", "script", "server.js", "interpreter",
             "../own/node");
    RESOLVES("www", "app/www", "none", "script", "www", "interpreter", "none");
    refuses("script", "@/app/server.js cannot be executed: Permission denied",
            PAIRS("script", "server.js", "interpreter", "none"));
}

static void searches_the_path_of_the_app_first(void **state)
{
    AUTOFREE char *own = xasprintf("PATH=%s/own", top);
    RESOLVES("server", "app/server.js", "own/node", "script", "server.js", "env", own);
    RESOLVES("job", "app/job.PY", "bin/python3", "script", "job.PY", "env", own);
}

static void finds_programs_in_path_when_there_is_no_such_file(void **state)
{
    RESOLVES("tool", "bin/tool", "none", "script", "tool");
    refuses("script", "there is no \"nothing\" in @/app and no such program in PATH",
            PAIRS("script", "nothing"));
    refuses("script", "there is no file @/app/nothing.js", PAIRS("script", "./nothing.js"));
    refuses("script", "@/app/dir is a directory, not a file", PAIRS("script", "dir"));
}

static void says_where_an_interpreter_was_looked_for(void **state)
{
    refuses("interpreter", "x.rb needs \"ruby\", and there is no such program in PATH",
            PAIRS("script", "x.rb"));
    refuses("interpreter", "there is no program \"deno\" in PATH",
            PAIRS("script", "server.js", "interpreter", "deno"));
    refuses("interpreter", "there is no program @/app/deno that can be executed",
            PAIRS("script", "server.js", "interpreter", "./deno"));
}

static void keeps_links_in_the_working_directory(void **state)
{
    struct config_error error;
    AUTOSPEC struct app_spec spec = {0};
    AUTOFREE char *link = at("link");
    assert_int_equal(resolve(&spec, &error, PAIRS("script", "server.js", "cwd", "../link")), 0);
    assert_string_equal(spec.cwd, link);
    expect(&spec, "server", "link/server.js", "bin/node");
    refuses("cwd", "there is no usable directory @/app/nowhere: No such file or directory",
            PAIRS("script", "server.js", "cwd", "nowhere"));
    refuses("cwd", "@/app/text is not a directory", PAIRS("script", "a.js", "cwd", "text"));
}

static void runs_a_command_by_bash(void **state)
{
    struct config_error error;
    AUTOSPEC struct app_spec spec = {0}, more = {0};
    assert_int_equal(resolve(&spec, &error, PAIRS("script", "tool --x | cat")), 0);
    expect(&spec, "tool", "bin/bash", "none");
    assert_int_equal(spec.args.count, 2);
    assert_string_equal(spec.args.items[0], "-c");
    assert_string_equal(spec.args.items[1], "tool --x | cat");
    assert_int_equal(resolve(&more, &error, PAIRS("script", "npm start", "args", "--a 'b c'")), 0);
    assert_int_equal(more.args.count, 5);
    assert_string_equal(more.args.items[1], "npm start \"$@\"");
    assert_string_equal(more.args.items[2], "bash");
    assert_string_equal(more.args.items[4], "b c");
    refuses("script", "there is no file \"server.js --x\" in @/app; arguments belong into \"args\"",
            PAIRS("script", "server.js --x", "interpreter", "node"));
}

static void refuses_a_name_that_the_script_cannot_give(void **state)
{
    refuses("name",
            "missing, and \"all\" (from the script) cannot stand for it: \"all\" is reserved: "
            "commands take it for all apps",
            PAIRS("script", "all.js"));
    refuses("script", "missing; every app needs one", PAIRS("name", "x"));
}

static void names_app_and_line_in_errors(void **state)
{
    struct config_error error;
    char space[CONFIG_ERROR_TEXT];
    AUTOSPEC struct app_spec spec;
    app_spec_init(&spec);
    assert_int_equal(app_spec_set(&spec, "script", "/nowhere/x.js", &error), 0);
    spec.line = 12;
    assert_int_equal(app_spec_resolve(&spec, "/", &environment, &error), ERR_INVALID);
    config_error_place(&error, "apps.json", NULL);
    assert_string_equal(config_error_format(&error, space),
                        "apps.json:12: app \"x\": key \"script\": there is no file /nowhere/x.js");
}

static void resolving_twice_changes_nothing(void **state)
{
    static const char *const scripts[] = {"server.js", "my app.js", "tool a b", "www"};
    for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
        struct config_error error;
        AUTOSPEC struct app_spec spec = {0}, before = {0};
        assert_int_equal(resolve(&spec, &error,
                                 PAIRS("script", scripts[i], "args", "x", "instances", "2", "port",
                                       "80", "source_map_support", "true", "out_file", "o.log")),
                         0);
        app_spec_copy(&before, &spec);
        assert_int_equal(app_spec_resolve(&spec, "/", &environment, &error), 0);
        assert_true(app_spec_equal(&before, &spec));
    }
}

static void refuses_paths_that_cannot_travel(void **state)
{
    struct config_error error;
    AUTOSPEC struct app_spec spec;
    AUTOFREE char *folder = xasprintf("%s/\xff", top);
    make_folder("\xff");
    make_file("\xff/server.js", "1", 1, 0600);
    app_spec_init(&spec);
    assert_int_equal(app_spec_set(&spec, "script", "server.js", &error), 0);
    assert_int_equal(app_spec_resolve(&spec, folder, &environment, &error), ERR_INVALID);
    AUTOFREE char *sentence = xasprintf("%s/? is not UTF-8", top);
    assert_string_equal(error.text, sentence);
    AUTOSPEC struct app_spec with_args;
    app_spec_init(&with_args);
    assert_int_equal(app_spec_set(&with_args, "script", "tool", &error), 0);
    strlist_add(&with_args.args, "a\xff");
    assert_int_equal(app_spec_resolve(&with_args, top, &environment, &error), ERR_INVALID);
    assert_string_equal(error.text, "the argument \"a?\" is not UTF-8");
}

static void puts_files_of_variables_under_env(void **state)
{
    struct config_error error;
    char space[CONFIG_ERROR_TEXT];
    AUTOSPEC struct app_spec spec = {0};
    make_file("app/one.env", "A=file\nB=file\nPORT=1\n", 21, 0600);
    make_file("app/two.env", "B=two\nC='x y'\n", 14, 0600);
    make_file("app/bad.env", "A=1\n\xff", 5, 0600);
    assert_int_equal(resolve(&spec, &error,
                             PAIRS("script", "server.js", "env", "A=own", "env_file", "one.env",
                                   "port", "3000")),
                     0);
    AUTOFREE char *path = at("app/one.env");
    assert_string_equal(spec.env_file.items[0], path);
    assert_string_equal(env_get(&spec.env, "A"), "own");
    assert_string_equal(env_get(&spec.env, "B"), "file");
    assert_string_equal(env_get(&spec.env, "PORT"), "3000");
    strlist_add(&spec.env_file, "two.env");
    env_unset(&spec.env, "B");
    assert_int_equal(app_spec_resolve(&spec, top, &environment, &error), 0);
    assert_string_equal(env_get(&spec.env, "B"), "two");
    assert_string_equal(env_get(&spec.env, "C"), "x y");
    refuses("env_file", "cannot read @/app/no.env: No such file or directory",
            PAIRS("script", "server.js", "env_file", "no.env"));
    AUTOSPEC struct app_spec bad = {0};
    assert_int_equal(
        resolve(&bad, &error, PAIRS("script", "server.js", "name", "x", "env_file", "bad.env")),
        ERR_INVALID);
    AUTOFREE char *whole = xasprintf("%s/app/bad.env: app \"x\": is not UTF-8", top);
    assert_string_equal(config_error_format(&error, space), whole);
}

static void env_counts_more_than_port(void **state)
{
    struct config_error error;
    AUTOSPEC struct app_spec spec = {0};
    assert_int_equal(
        resolve(&spec, &error, PAIRS("script", "server.js", "env", "PORT=80", "port", "3000")), 0);
    assert_string_equal(env_get(&spec.env, "PORT"), "80");
}

static void makes_paths_of_files_absolute(void **state)
{
    struct config_error error;
    AUTOSPEC struct app_spec spec = {0};
    AUTOFREE char *out = at("app/logs/out.log"), *pid = at("x.pid");
    assert_int_equal(resolve(&spec, &error,
                             PAIRS("script", "server.js", "out_file", "logs/out.log", "error_file",
                                   "NULL", "log_file", "true", "pid_file", "../x.pid")),
                     0);
    assert_string_equal(spec.out_file, out);
    assert_string_equal(spec.error_file, "/dev/null");
    assert_string_equal(spec.log_file, "true");
    assert_string_equal(spec.pid_file, pid);
}

static void has_mode(enum exec_mode mode, const char *const *pairs)
{
    struct config_error error;
    AUTOSPEC struct app_spec spec = {0};
    assert_int_equal(resolve(&spec, &error, pairs), 0);
    assert_int_equal(spec.exec_mode, mode);
}

static void shares_ports_when_instances_of_node_were_given(void **state)
{
    has_mode(EXEC_FORK, PAIRS("script", "server.js"));
    has_mode(EXEC_CLUSTER, PAIRS("script", "server.js", "instances", "1"));
    has_mode(EXEC_CLUSTER, PAIRS("script", "server.js", "instances", "max"));
    has_mode(EXEC_FORK, PAIRS("script", "server.js", "instances", "2", "exec_mode", "fork"));
    has_mode(EXEC_CLUSTER, PAIRS("script", "server.js", "exec_mode", "cluster"));
    has_mode(EXEC_FORK, PAIRS("script", "job.PY", "instances", "2"));
}

static void gives_source_maps_to_node_alone(void **state)
{
    struct config_error error;
    AUTOSPEC struct app_spec spec = {0}, other = {0};
    assert_int_equal(
        resolve(&spec, &error,
                PAIRS("script", "server.js", "source_map_support", "true", "node_args", "--x")),
        0);
    assert_int_equal(spec.node_args.count, 2);
    assert_string_equal(spec.node_args.items[1], "--enable-source-maps");
    assert_int_equal(
        resolve(&other, &error, PAIRS("script", "job.PY", "source_map_support", "true")), 0);
    assert_int_equal(other.node_args.count, 0);
}

static void looks_users_and_groups_up(void **state)
{
    struct config_error error;
    AUTOSPEC struct app_spec spec = {0};
    refuses("uid", "there is no user \"nobody-of-that-name\"",
            PAIRS("script", "server.js", "uid", "nobody-of-that-name"));
    refuses("gid", "there is no group \"no-such-group\"",
            PAIRS("script", "server.js", "gid", "no-such-group"));
    if (geteuid() != 0)
        refuses("uid", "only root can start apps as another user",
                PAIRS("script", "server.js", "user", "root"));
    AUTOFREE char *self = xasprintf("%u", geteuid());
    assert_int_equal(resolve(&spec, &error, PAIRS("script", "server.js", "uid", self)), 0);
    assert_string_equal(spec.uid, self);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chooses_the_interpreter_by_extension),
        cmocka_unit_test(chooses_by_content_where_the_extension_says_nothing),
        cmocka_unit_test(takes_the_interpreter_that_was_chosen),
        cmocka_unit_test(searches_the_path_of_the_app_first),
        cmocka_unit_test(finds_programs_in_path_when_there_is_no_such_file),
        cmocka_unit_test(says_where_an_interpreter_was_looked_for),
        cmocka_unit_test(keeps_links_in_the_working_directory),
        cmocka_unit_test(runs_a_command_by_bash),
        cmocka_unit_test(refuses_a_name_that_the_script_cannot_give),
        cmocka_unit_test(names_app_and_line_in_errors),
        cmocka_unit_test(resolving_twice_changes_nothing),
        cmocka_unit_test(refuses_paths_that_cannot_travel),
        cmocka_unit_test(puts_files_of_variables_under_env),
        cmocka_unit_test(env_counts_more_than_port),
        cmocka_unit_test(makes_paths_of_files_absolute),
        cmocka_unit_test(shares_ports_when_instances_of_node_were_given),
        cmocka_unit_test(gives_source_maps_to_node_alone),
        cmocka_unit_test(looks_users_and_groups_up),
    };
    return cmocka_run_group_tests(tests, make_all, remove_all);
}
