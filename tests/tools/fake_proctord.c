/* fake_proctord -- stands in for proctord in the tests of the keeper: it does what it is told, one line at a time, on the
 * socket fake.sock of its home, and answers each with a line of JSON.
 *
 * Every start adds a line to the file "journal": what the keeper said.  The file "behave" says what happens then:
 * "LABEL ACTION NUMBER" lines, of which the first that fits counts; LABEL is the text behind "label=" at the end of this
 * program's file, "*" fits all.  Actions: kill SIGNAL, exit CODE, hang (never up), unsafe SIGNAL (killed, but not in safe mode). */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <poll.h>
#include <unistd.h>

#include "lib/keep/keep.h"

enum { KEEPER = 4, READY = 3, MAX = 4096 };

static char label[64] = "none";
static struct keep_msg synced;
static struct keep_msg exits[MAX];
static unsigned exit_count;
static struct keep_record kept[MAX];
static unsigned kept_count;

static void tell(uint32_t type, uint64_t seq, const char *name, int fd)
{
    struct keep_msg msg = {.version = KEEP_VERSION, .type = type, .seq = seq};
    (void)snprintf(msg.name, sizeof msg.name, "%s", name);
    if (keep_send(KEEPER, &msg, fd) < 0)
        _exit(99);
}

/* One message of the keeper's.  False: there is none, or the keeper is gone. */
static int hear(struct keep_msg *msg)
{
    int fd = -1;
    int r = keep_receive(KEEPER, msg, &fd);
    if (r != 1)
        return r;
    if (msg->type == KEEP_EXIT && exit_count < MAX)
        exits[exit_count++] = *msg;
    if (msg->type == KEEP_FD && kept_count < MAX) {
        kept[kept_count].fd = fd;
        memcpy(kept[kept_count++].name, msg->name, KEEP_NAME);
    }
    return 1;
}

static void read_label(void)
{
    char end[64] = "";
    int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    off_t size = lseek(fd, 0, SEEK_END);
    ssize_t len = pread(fd, end, sizeof end - 1, size - 63);
    for (ssize_t i = 0; i + 6 < len; i++)
        if (memcmp(end + i, "label=", 6) == 0)
            (void)snprintf(label, sizeof label, "%s", end + i + 6);
    (void)close(fd);
}

/* ---- JSON, of words that need no quoting ------------------------------------------------------ */

static char out[1 << 18];
static size_t out_len;

static void add(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void add(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(out + out_len, sizeof out - out_len, format, ap);
    va_end(ap);
    if (n > 0 && (size_t)n < sizeof out - out_len)
        out_len += (size_t)n;
}

static void add_file(const char *key, const char *path)
{
    char text[64] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t len = read(fd, text, sizeof text - 1);
    (void)close(fd);
    text[len > 0 ? strcspn(text, "\n") : 0] = '\0';
    add(",\"%s\":\"%s\"", key, text);
}

/* Descriptors that were there when we began, and that nobody has told us of. */
static void add_open(void)
{
    add(",\"open\":[");
    const char *comma = "";
    for (int fd = 0; fd < 4096; fd++) {
        int mine = 0;
        for (unsigned i = 0; i < kept_count; i++)
            mine = mine || kept[i].fd == fd;
        if (!mine && fcntl(fd, F_GETFD) >= 0) {
            add("%s%d", comma, fd);
            comma = ",";
        }
    }
    add("]");
}

static void add_facts(void)
{
    struct rlimit nofile;
    (void)getrlimit(RLIMIT_NOFILE, &nofile);
    add("{\"pid\":%d,\"ppid\":%d,\"label\":\"%s\",\"flags\":%u,\"starts\":%u,\"status\":%d,"
        "\"endedMs\":%lld",
        (int)getpid(), (int)getppid(), label, synced.flags, synced.starts, synced.status,
        (long long)synced.at_ms);
    add(",\"nofile\":%llu", (unsigned long long)nofile.rlim_cur);
    add_file("oom", "/proc/self/oom_score_adj");
    add_open();
    add(",\"names\":[");
    for (unsigned i = 0; i < kept_count; i++)
        add("%s\"%s\"", i ? "," : "", kept[i].name);
    add("],\"exits\":[");
    for (unsigned i = 0; i < exit_count; i++)
        add("%s{\"seq\":%llu,\"pid\":%d,\"code\":%d,\"status\":%d}", i ? "," : "",
            (unsigned long long)exits[i].seq, exits[i].pid, exits[i].code, exits[i].status);
    add("]}\n");
}

/* ---- commands --------------------------------------------------------------------------------- */

static void end_as(const char *how, int number)
{
    if (strcmp(how, "exit") == 0)
        _exit(number);
    (void)signal(number, SIG_DFL);
    (void)raise(number);
}

/* The connection that asked, above all: its end is what the test waits for. */
static void forget_all(void)
{
    sigset_t none;
    (void)sigemptyset(&none);
    (void)signal(SIGTERM, SIG_DFL);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    for (int fd = 3; fd < 1024; fd++)
        (void)close(fd);
}

static void child(const char *how, int number, int after_ms)
{
    pid_t pid = fork();
    if (pid == 0) {
        forget_all();
        (void)poll(NULL, 0, after_ms);
        end_as(how, number);
        (void)pause();
        _exit(1);
    }
    add("{\"pid\":%d}\n", (int)pid);
}

/* So many children that end at once, each with its own number as exit code. */
static void children(int count)
{
    for (int i = 0; i < count; i++)
        if (fork() == 0) {
            forget_all();
            (void)poll(NULL, 0, 400);
            _exit(i % 256);
        }
    add("{}\n");
}

static void store_pipe(const char *name, const char *text)
{
    int fds[2];
    if (pipe(fds) < 0 || write(fds[1], text, strlen(text)) < 0)
        _exit(98);
    tell(KEEP_STORE, 0, name, fds[0]);
    (void)close(fds[0]);
    (void)close(fds[1]);
    add("{}\n");
}

/* Many names, one file. */
static void store_many(int count)
{
    char name[KEEP_NAME];
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    for (int i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "m%d", i);
        tell(KEEP_STORE, 0, name, fd);
    }
    (void)close(fd);
    add("{}\n");
}

static void take(const char *name)
{
    char text[512] = "";
    for (unsigned i = 0; i < kept_count; i++)
        if (strcmp(kept[i].name, name) == 0) {
            ssize_t len = read(kept[i].fd, text, sizeof text - 1);
            (void)len;
        }
    add("{\"text\":\"%s\"}\n", text);
}

/* Things that are no messages. */
static void nonsense(void)
{
    static char bytes[8192];
    struct keep_msg msg = {.version = KEEP_VERSION + 1, .type = KEEP_BYE};
    memset(bytes, 0xff, sizeof bytes);
    for (size_t len = 0; len < sizeof bytes; len = len * 2 + 1)
        (void)send(KEEPER, bytes, len, MSG_NOSIGNAL);
    (void)keep_send(KEEPER, &msg, 0);
    msg.version = KEEP_VERSION;
    memset(msg.name, 'x', sizeof msg.name);
    (void)keep_send(KEEPER, &msg, 0);
    tell(KEEP_STORE, 0, "no descriptor", -1);
    tell(KEEP_STORE, 0, "bad name!", 0);
    tell(KEEP_STORE, 0, "", 0);
    tell(KEEP_DROP, 0, "", -1);
    tell(KEEP_ACK, UINT64_MAX, "", -1);
    tell(4711, 0, "later.version", 0);
    add("{}\n");
}

static void acknowledge(int from)
{
    for (unsigned i = 0; i < exit_count; i++)
        if ((int)exits[i].seq >= from)
            tell(KEEP_ACK, exits[i].seq, "", -1);
    exit_count = 0;
    add("{}\n");
}

static void obey(char *line)
{
    char none[] = "", *words[4] = {none, none, none, none};
    unsigned count = 0;
    for (char *w = strtok(line, " \n"); w && count < 4; w = strtok(NULL, " \n"))
        words[count++] = w;
    const char *what = words[0];
    out_len = 0;
    if (strcmp(what, "facts") == 0)
        add_facts();
    else if (strcmp(what, "child") == 0)
        child(words[1], atoi(words[2]), atoi(words[3]));
    else if (strcmp(what, "children") == 0)
        children(atoi(words[1]));
    else if (strcmp(what, "pipe") == 0)
        store_pipe(words[1], words[2]);
    else if (strcmp(what, "many") == 0)
        store_many(atoi(words[1]));
    else if (strcmp(what, "take") == 0)
        take(words[1]);
    else if (strcmp(what, "nonsense") == 0)
        nonsense();
    else if (strcmp(what, "acknowledge") == 0)
        acknowledge(atoi(words[1]));
    else if (strcmp(what, "drop") == 0)
        tell(KEEP_DROP, 0, words[1], -1), add("{}\n");
    else if (strcmp(what, "hangup") == 0)
        (void)close(KEEPER), add("{}\n");
    else if (strcmp(what, "upgrade") == 0)
        tell(KEEP_UPGRADE, 0, "", -1), add("{}\n");
    else if (strcmp(what, "bye") == 0)
        tell(KEEP_BYE, 0, "", -1), add("{}\n");
    else
        end_as(what, atoi(words[1]));
}

/* The keeper is gone: what is stored goes to a manifest, and this process is the keeper. */
static void become_keeper(void)
{
    char number[16], home[] = ".", program[] = "../proctor-keeper";
    char *argv[] = {program, (char[]){"--home"}, home, (char[]){"--manifest"}, number, NULL};
    struct keep_manifest_head head = {.records = kept_count,
                                      .exits = exit_count,
                                      .supervisor_sock = -1,
                                      .binary_fd = -1,
                                      .previous_fd = -1,
                                      .starts = synced.starts,
                                      .flags = synced.flags,
                                      .next_seq = 100};
    int fd = memfd_create("manifest", 0);
    (void)snprintf(number, sizeof number, "%d", fd);
    for (unsigned i = 0; i < kept_count; i++)
        (void)fcntl(kept[i].fd, F_SETFD, 0);
    if (keep_manifest_write(fd, &head, kept, exits) == 0)
        (void)execv(program, argv);
    _exit(92);
}

/* ---- start and loop --------------------------------------------------------------------------- */

static void behave(void)
{
    char who[64], how[64];
    int number;
    FILE *file = fopen("behave", "re");
    while (file && fscanf(file, "%63s %63s %d", who, how, &number) == 3) {
        if (strcmp(who, "*") != 0 && strcmp(who, label) != 0)
            continue;
        if (strcmp(how, "hang") == 0)
            (void)pause();
        if (strcmp(how, "unsafe") != 0 || !(synced.flags & KEEP_SAFE))
            end_as(how, number);
        break;
    }
    if (file)
        (void)fclose(file);
}

static void write_journal(void)
{
    int fd = open("journal", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    out_len = 0;
    add_facts();
    if (write(fd, out, out_len) < 0)
        _exit(97);
    (void)close(fd);
}

static int listen_at_home(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "fake.sock"};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)unlink("fake.sock");
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) < 0 || listen(fd, 16) < 0)
        _exit(96);
    return fd;
}

static void serve_one(int listener)
{
    char line[1024];
    int fd = accept(listener, NULL, NULL);
    ssize_t len = read(fd, line, sizeof line - 1);
    line[len > 0 ? len : 0] = '\0';
    if (len > 0)
        obey(line);
    if (len > 0 && write(fd, out, out_len) < 0)
        _exit(95);
    (void)close(fd);
}

static volatile sig_atomic_t asked_to_end;

static void on_signal(int sig)
{
    asked_to_end = sig;
}

/* An end in order. */
static void end_if_asked(void)
{
    if (!asked_to_end)
        return;
    tell(KEEP_BYE, 0, "", -1);
    _exit(asked_to_end == SIGTERM ? 7 : 8);
}

int main(int argc, char **argv)
{
    struct keep_msg msg;
    if (argc != 5 || chdir(argv[2]) < 0 || strcmp(argv[4], "4") != 0)
        return 94;
    read_label();
    do
        if (hear(&msg) != 1)
            return 93;
    while (msg.type != KEEP_SYNCED);
    synced = msg;
    write_journal();
    behave();
    sigset_t none, blocked;
    (void)sigemptyset(&none);
    (void)sigemptyset(&blocked);
    (void)sigaddset(&blocked, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &blocked, NULL);
    (void)signal(SIGTERM, on_signal);
    int listener = listen_at_home();
    tell(KEEP_UP, 0, "", -1);
    (void)dprintf(READY, "ready\n");
    (void)close(READY);
    for (;;) {
        struct pollfd polls[] = {{.fd = listener, .events = POLLIN},
                                 {.fd = KEEPER, .events = POLLIN}};
        int r = ppoll(polls, 2, NULL, &none);
        end_if_asked();
        if (r < 0)
            continue;
        if (polls[1].revents && hear(&msg) == 0)
            become_keeper();
        if (polls[0].revents)
            serve_one(listener);
    }
}
