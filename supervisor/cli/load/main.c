/* proctor-load -- `proctor load FILE`: an ecosystem file in YAML or JavaScript as JSON.
 *
 * The command line runs it with a pipe as standard output (app_load.c); see answer.h for what it
 * writes.  Exit status: 0 a value, 1 an error, both in the answer; 2 wrong use, without one. */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ecosystem/config_error.h"
#include "ecosystem/ecosystem.h"
#include "ecosystem/node.h"
#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/io.h"
#include "lib/base/limits.h"
#include "lib/base/path.h"
#include "lib/base/std_fds.h"
#include "lib/base/str.h"
#include "supervisor/cli/load/answer.h"
#include "supervisor/cli/load/script.h"
#include "supervisor/cli/load/yaml.h"

enum { EXIT_DONE, EXIT_FAILED, EXIT_USAGE };

static const char usage[] = "usage: proctor load FILE [--env NAME]\n"
                            "\n"
                            "Prints what is in an ecosystem file of YAML or JavaScript as JSON: "
                            "{\"value\": …}, on the lines\n"
                            "of a YAML file, or {\"error\": {\"text\", \"line\", \"column\"}}.\n"
                            "  --env NAME   what an exported function gets as {env}\n";

static int wrong_use(const char *what)
{
    (void)fprintf(stderr, "proctor load: %s\n%.*s", what, (int)strcspn(usage, "\n") + 1, usage);
    return EXIT_USAGE;
}

static int read_text(const char *file, struct buf *text, struct config_error *reterr)
{
    int r = path_read(file, text);
    if (r == ERR_TOO_BIG)
        return config_error_set(reterr, r, 0, NULL, "larger than %u MiB",
                                LIMIT_ECOSYSTEM_FILE >> 20);
    if (r < 0)
        return config_error_set(reterr, r, 0, NULL, "cannot be read: %s", err_str(r));
    return 0;
}

static int load_yaml(const char *file, struct buf *out, struct config_error *reterr)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_ECOSYSTEM_FILE);
    AUTONODE struct node root = {0};
    int r = read_text(file, &text, reterr);
    if (r == 0)
        r = yaml_read(buf_str(&text), text.len, &root, reterr);
    if (r < 0)
        return r;
    r = answer_value(&root, out);
    if (r < 0)
        return config_error_set(reterr, r, 0, NULL, "with its aliases it is larger than %u MiB",
                                LIMIT_ECOSYSTEM_FILE >> 20);
    return 0;
}

static int load_script(const char *file, const char *env_name, struct buf *out,
                       struct config_error *reterr)
{
    if (access(file, R_OK) < 0)
        return config_error_set(reterr, -errno, 0, NULL, "cannot be read: %s", err_str(-errno));
    return script_run(file, env_name, out, reterr);
}

static int load(const char *file, const char *env_name, struct buf *out,
                struct config_error *reterr)
{
    switch (ecosystem_file_kind(file)) {
    case FILE_YAML:
        return load_yaml(file, out, reterr);
    case FILE_SCRIPT:
        return load_script(file, env_name, out, reterr);
    case FILE_JSON:
    case FILE_NONE:
        break;
    }
    return config_error_set(reterr, ERR_UNSUPPORTED, 0, NULL,
                            "its name does not end like one of YAML or JavaScript");
}

int main(int argc, char **argv)
{
    static const struct option names[] = {
        {"env", required_argument, NULL, 'e'}, {"help", no_argument, NULL, 'h'}, {0}};
    const char *env_name = "";
    std_fds_occupy();
    (void)signal(SIGPIPE, SIG_IGN);
    for (int c; (c = getopt_long(argc, argv, "h", names, NULL)) != -1;) {
        if (c == 'h')
            return printf("%s", usage) < 0 ? EXIT_FAILED : EXIT_DONE;
        if (c != 'e')
            return wrong_use("that cannot be");
        env_name = optarg;
    }
    if (optind + 1 != argc)
        return wrong_use("which file?");
    AUTOBUF struct buf out = BUF_INIT(LIMIT_ECOSYSTEM_ANSWER);
    struct config_error error = {0};
    int r = load(argv[optind], env_name, &out, &error);
    if (r < 0) {
        buf_reset(&out);
        (void)answer_error(&error, &out);
    }
    if (io_write_all(STDOUT_FILENO, buf_str(&out), out.len) < 0)
        return EXIT_FAILED;
    return str_starts(buf_str(&out), "{\"value\"") ? EXIT_DONE : EXIT_FAILED;
}
