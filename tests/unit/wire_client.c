#include "lib/wire/client.h"

#include "tests/unit/support.h"

#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"
#include "lib/wire/msg.h"

/* ---- a small server: one thread that runs a script ------------------------------------------- */

typedef void (*script_fn)(void);

static char *socket_path;
static int listener = -1;
static pthread_t thread;
static struct buf heard; /* "method id text\n" per request, in all connections */
static int fds_before;

static int next_client(void)
{
    return accept4(listener, NULL, NULL, SOCK_CLOEXEC);
}

static bool read_line(int fd, struct buf *line)
{
    char c;
    buf_reset(line);
    while (read(fd, &c, 1) == 1 && c != '\n')
        if (buf_addc(line, c) < 0)
            return false;
    return line->len > 0;
}

/* Reads one request and notes it; its id is copied. */
static bool hear(int fd, char *ret_id)
{
    AUTOBUF struct buf line = BUF_INIT(LIMIT_CONTROL_LINE);
    AUTOMSG struct msg m = {0};
    if (!read_line(fd, &line) || msg_parse(line.data, line.len, &m) < 0 || !m.id)
        return false;
    (void)buf_addf(&heard, "%s %s\n", m.method, json_get_string(m.params, "text", "-"));
    (void)snprintf(ret_id, UUID_TEXT, "%s", m.id);
    return true;
}

static void say(int fd, const struct buf *out)
{
    for (size_t done = 0; done < out->len;) {
        ssize_t n = send(fd, out->data + done, out->len - done, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        done += (size_t)n;
    }
}

static void answer(int fd, const char *id, const char *text)
{
    AUTOBUF struct buf out = BUF_INIT(LIMIT_CONTROL_LINE);
    AUTOJSON json_t *result = json_object();
    json_set_string(result, "text", text);
    (void)msg_add_result(&out, id, result, 0);
    say(fd, &out);
}

static void refuse(int fd, const char *id, int error, const char *text)
{
    AUTOBUF struct buf out = BUF_INIT(LIMIT_CONTROL_LINE);
    (void)msg_add_error(&out, id, error, text, NULL);
    say(fd, &out);
}

static void tell(int fd, const char *id, const char *text)
{
    AUTOBUF struct buf out = BUF_INIT(LIMIT_CONTROL_LINE);
    AUTOJSON json_t *params = json_object();
    json_set_string(params, "id", id);
    json_set_string(params, "text", text);
    (void)msg_add_notification(&out, "progress", params);
    say(fd, &out);
}

static void *run_script(void *arg)
{
    script_fn script;
    memcpy(&script, arg, sizeof script);
    script();
    return NULL;
}

static script_fn present;

static void serve(script_fn script)
{
    sigset_t all, before;
    present = script;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    assert_int_equal(pthread_create(&thread, NULL, run_script, &present), 0);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void served(void)
{
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static int set_up(void **state)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    fds_before = count_fds();
    if (make_folder(state) < 0)
        return -1;
    socket_path = in_folder("socket");
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    buf_init(&heard, 100000);
    return bind(listener, (struct sockaddr *)&address, sizeof address) < 0 ? -1
                                                                           : listen(listener, 10);
}

static int tear_down(void **state)
{
    (void)close(listener);
    free(socket_path);
    buf_clear(&heard);
    return count_fds() == fds_before ? remove_folder(state) : -1;
}

/* ---- one call -------------------------------------------------------------------------------- */

static struct client client;

static void open_client(void)
{
    assert_int_equal(client_open(&client, socket_path), 0);
    assert_int_equal(client.retry_ms, 20000);
}

static int call(const char *text, client_progress_cb on_progress, void *arg, struct msg *ret_answer)
{
    AUTOJSON json_t *params = json_object();
    json_set_string(params, "text", text);
    return client_call(&client, "do", params, on_progress, arg, ret_answer);
}

static void answers_one(void)
{
    char id[UUID_TEXT], unused[UUID_TEXT];
    int fd = next_client();
    (void)hear(fd, unused);
    answer(fd, unused, "hello yourself");
    (void)hear(fd, id);
    answer(fd, "another id", "not this");
    tell(fd, "another id", "not this");
    answer(fd, id, "here you are");
    (void)hear(fd, id);
    refuse(fd, id, ERR_NO_SIGNAL, "it does not take it");
    (void)close(fd);
}

static void a_call_gets_its_answer(void **state)
{
    AUTOMSG struct msg m = {0};
    serve(answers_one);
    open_client();
    assert_int_equal(call("first", NULL, NULL, &m), 0);
    assert_string_equal(json_get_string(m.result, "text", ""), "here you are");
    msg_clear(&m);
    assert_int_equal(call("second", NULL, NULL, &m), ERR_NO_SIGNAL);
    assert_string_equal(m.error_text, "it does not take it");
    served();
    assert_string_equal(buf_str(&heard), "hello -\ndo first\ndo second\n");
    client_close(&client);
}

static void nobody_there_is_told_at_once(void **state)
{
    AUTOFREE char *none = in_folder("none"), *file = in_folder("file");
    AUTOFREE char *far = xcalloc(1, 200);
    memset(far, 'x', 199);
    put_file(file, "");
    assert_int_equal(client_open(&client, none), -ENOENT);
    assert_int_equal(client_open(&client, file), -ECONNREFUSED);
    assert_int_equal(client_open(&client, far), -ENAMETOOLONG);
    assert_int_equal(client.fd, -1);
    assert_null(client.path);
}

/* ---- progress and interruption --------------------------------------------------------------- */

static void tells_thrice(void)
{
    char id[UUID_TEXT];
    int fd = next_client();
    (void)hear(fd, id);
    (void)hear(fd, id);
    tell(fd, id, "one");
    tell(fd, "another", "not this");
    tell(fd, id, "two");
    tell(fd, id, "three");
    answer(fd, id, "done");
    (void)hear(fd, id);
    (void)close(fd);
}

static int on_progress(void *arg, const json_t *params)
{
    struct buf *log = arg;
    (void)buf_addf(log, "%s ", json_get_string(params, "text", "?"));
    return 0;
}

static void progress_is_handed_on(void **state)
{
    AUTOMSG struct msg m = {0};
    AUTOBUF struct buf log = BUF_INIT(1000);
    serve(tells_thrice);
    open_client();
    assert_int_equal(call("x", on_progress, &log, &m), 0);
    assert_string_equal(buf_str(&log), "one two three ");
    client_close(&client);
    served();
}

static int on_two(void *arg, const json_t *params)
{
    struct buf *log = arg;
    (void)buf_addf(log, "%s ", json_get_string(params, "text", "?"));
    return str_eq(json_get_string(params, "text", "?"), "two") ? -ECANCELED : 0;
}

static void the_callback_can_end_the_call(void **state)
{
    AUTOMSG struct msg m = {0};
    AUTOBUF struct buf log = BUF_INIT(1000);
    serve(tells_thrice);
    open_client();
    assert_int_equal(call("x", on_two, &log, &m), -ECANCELED);
    assert_string_equal(buf_str(&log), "one two ");
    assert_null(m.root);
    client_close(&client);
    served();
}

static void says_nothing(void)
{
    char id[UUID_TEXT];
    int fd = next_client();
    while (hear(fd, id))
        continue;
    (void)close(fd);
}

static void on_alarm(int sig)
{
}

static int on_interruption(void *arg, const json_t *params)
{
    assert_null(params);
    AUTOJSON json_t *stop = json_pack("{s:s}", "text", "please");
    if (++*(int *)arg == 2)
        return ERR_CANCELLED;
    return client_send(&client, "stop", stop);
}

static void a_signal_is_told_to_the_callback(void **state)
{
    AUTOMSG struct msg m = {0};
    int interruptions = 0;
    const struct sigaction action = {.sa_handler = on_alarm};
    struct sigaction before;
    const struct itimerval timer = {.it_value.tv_usec = 50000, .it_interval.tv_usec = 50000};
    assert_int_equal(sigaction(SIGALRM, &action, &before), 0);
    serve(says_nothing);
    open_client();
    assert_int_equal(setitimer(ITIMER_REAL, &timer, NULL), 0);
    assert_int_equal(call("x", on_interruption, &interruptions, &m), ERR_CANCELLED);
    assert_int_equal(setitimer(ITIMER_REAL, &(struct itimerval){0}, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    assert_int_equal(interruptions, 2);
    client_close(&client);
    served();
    assert_string_equal(buf_str(&heard), "hello -\ndo x\nstop please\n");
}

/* ---- broken connections ---------------------------------------------------------------------- */

static char ids[3][UUID_TEXT];

static void breaks_twice(void)
{
    char unused[UUID_TEXT];
    for (int i = 0; i < 3; i++) {
        int fd = next_client();
        (void)hear(fd, unused);
        (void)hear(fd, ids[i]);
        if (i == 1) /* half an answer */
            (void)!write(fd, "{\"jsonrpc\":", 11);
        if (i == 2)
            answer(fd, ids[i], "at last");
        (void)close(fd);
    }
}

static void a_broken_connection_is_tried_again_with_the_same_id(void **state)
{
    AUTOMSG struct msg m = {0};
    serve(breaks_twice);
    open_client();
    assert_int_equal(call("x", NULL, NULL, &m), 0);
    assert_string_equal(json_get_string(m.result, "text", ""), "at last");
    served();
    assert_true(uuid_valid(ids[0]));
    assert_string_equal(ids[0], ids[1]);
    assert_string_equal(ids[0], ids[2]);
    assert_string_equal(buf_str(&heard), "hello -\ndo x\nhello -\ndo x\nhello -\ndo x\n");
    client_close(&client);
}

static int64_t now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void goes_for_good(void)
{
    char unused[UUID_TEXT];
    int fd = next_client();
    (void)hear(fd, unused);
    (void)hear(fd, unused);
    (void)unlink(socket_path);
    (void)close(fd);
}

static void a_server_that_is_gone_is_given_up_after_a_while(void **state)
{
    AUTOMSG struct msg m = {0};
    serve(goes_for_good);
    open_client();
    client.nobody_ms = 200;
    int64_t began = now_ms();
    assert_int_equal(call("x", NULL, NULL, &m), -ENOENT);
    assert_in_range(now_ms() - began, 150, 5000);
    served();
    client_close(&client);
}

static void slams_the_door(void)
{
    for (int fd; (fd = next_client()) >= 0;)
        (void)close(fd);
}

static void a_server_that_closes_at_once_is_given_up_too(void **state)
{
    AUTOMSG struct msg m = {0};
    serve(slams_the_door);
    open_client();
    client.retry_ms = 200;
    int64_t began = now_ms();
    int r = call("x", NULL, NULL, &m);
    assert_true(r == -ECONNRESET || r == -EPIPE);
    assert_in_range(now_ms() - began, 150, 5000);
    (void)shutdown(listener, SHUT_RDWR);
    served();
    client_close(&client);
}

static void refuses_hello(void)
{
    char id[UUID_TEXT];
    int fd = next_client();
    (void)hear(fd, id);
    refuse(fd, id, ERR_UNSUPPORTED, "version 1 is too old");
    (void)close(fd);
}

static void a_refused_hello_is_the_answer(void **state)
{
    AUTOMSG struct msg m = {0};
    serve(refuses_hello);
    open_client();
    served();
    assert_int_equal(call("x", NULL, NULL, &m), ERR_UNSUPPORTED);
    assert_string_equal(m.error_text, "version 1 is too old");
    client_close(&client);
}

static void talks_garbage(void)
{
    char id[UUID_TEXT];
    int fd = next_client();
    (void)hear(fd, id);
    (void)hear(fd, id);
    (void)!write(fd, "garbage\n", 8);
    (void)hear(fd, id);
    (void)close(fd);
}

static void garbage_ends_the_call(void **state)
{
    AUTOMSG struct msg m = {0};
    serve(talks_garbage);
    open_client();
    assert_int_equal(call("x", NULL, NULL, &m), ERR_SYNTAX);
    client_close(&client);
    served();
}

/* ---- several, and large ---------------------------------------------------------------------- */

static void answers_some(void)
{
    char id[3][UUID_TEXT], unused[UUID_TEXT];
    int fd = next_client();
    (void)hear(fd, unused);
    for (int i = 0; i < 3; i++)
        (void)hear(fd, id[i]);
    answer(fd, id[2], "third");
    refuse(fd, id[0], ERR_BUSY, "first");
    (void)close(fd);
    fd = next_client();
    (void)hear(fd, unused);
    (void)hear(fd, unused);
    answer(fd, unused, str_eq(unused, id[1]) ? "second" : "wrong id");
    (void)close(fd);
}

static void only_what_is_unanswered_is_asked_again(void **state)
{
    struct client_request requests[3];
    struct msg answers[3];
    static const char *const texts[] = {"a", "b", "c"};
    serve(answers_some);
    open_client();
    for (int i = 0; i < 3; i++)
        requests[i] = (struct client_request){
            .method = "do", .params = json_pack("{s:s}", "text", texts[i]), .answer = &answers[i]};
    assert_int_equal(client_call_all(&client, requests, 3), 0);
    served();
    assert_string_equal(buf_str(&heard), "hello -\ndo a\ndo b\ndo c\nhello -\ndo b\n");
    assert_int_equal(requests[0].result, ERR_BUSY);
    assert_string_equal(answers[0].error_text, "first");
    assert_string_equal(json_get_string(answers[1].result, "text", ""), "second");
    assert_string_equal(json_get_string(answers[2].result, "text", ""), "third");
    for (int i = 0; i < 3; i++) {
        json_decref(requests[i].params);
        msg_clear(&answers[i]);
    }
    client_close(&client);
}

static size_t answer_len;

/* With a text that makes the whole line as long as a line may be. */
static void answers_at_length(void)
{
    char id[UUID_TEXT];
    AUTOFREE char *text = xcalloc(1, LIMIT_CONTROL_LINE);
    AUTOBUF struct buf out = BUF_INIT(LIMIT_CONTROL_LINE);
    int fd = next_client();
    (void)hear(fd, id);
    (void)hear(fd, id);
    (void)msg_add_result(&out, id, NULL, 0);
    answer_len = LIMIT_CONTROL_LINE - out.len - strlen("\"text\":\"\"");
    memset(text, 'x', answer_len);
    answer(fd, id, text);
    (void)close(fd);
}

static void an_answer_as_long_as_a_line_may_be_is_taken(void **state)
{
    AUTOMSG struct msg m = {0};
    serve(answers_at_length);
    open_client();
    client.retry_ms = 0;
    assert_int_equal(call("x", NULL, NULL, &m), 0);
    assert_int_equal(strlen(json_get_string(m.result, "text", "")), answer_len);
    client_close(&client);
    served();
}

static void never_ends_its_line(void)
{
    char id[UUID_TEXT];
    AUTOFREE char *text = xcalloc(1, LIMIT_CONTROL_LINE);
    memset(text, 'x', LIMIT_CONTROL_LINE);
    int fd = next_client();
    (void)hear(fd, id);
    (void)hear(fd, id);
    const struct buf out = {.data = text, .len = LIMIT_CONTROL_LINE};
    say(fd, &out);
    say(fd, &out);
    (void)close(fd);
}

static void a_line_that_does_not_end_ends_the_call(void **state)
{
    AUTOMSG struct msg m = {0};
    serve(never_ends_its_line);
    open_client();
    assert_int_equal(call("x", NULL, NULL, &m), ERR_TOO_BIG);
    client_close(&client);
    served();
}

enum { MANY_FDS = 40 };

/* Answers with `count` copies of one file, and says that one comes. */
static void answer_with_files(size_t count)
{
    char id[UUID_TEXT];
    int copies[MANY_FDS];
    union {
        struct cmsghdr head;
        char bytes[CMSG_SPACE(sizeof copies)];
    } control = {.bytes = ""};
    AUTOBUF struct buf out = BUF_INIT(1000);
    int fd = next_client();
    AUTOCLOSE int file = memfd_create("test", MFD_CLOEXEC);
    (void)!write(file, "content", 7);
    (void)hear(fd, id);
    (void)hear(fd, id);
    (void)msg_add_result(&out, id, NULL, 1);
    struct iovec iov = {.iov_base = out.data, .iov_len = out.len};
    struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};
    for (size_t i = 0; i < count; i++)
        copies[i] = file;
    if (count > 0) {
        mh.msg_control = &control;
        mh.msg_controllen = CMSG_SPACE(count * sizeof(int));
        control.head = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
                                        .cmsg_type = SCM_RIGHTS,
                                        .cmsg_len = CMSG_LEN(count * sizeof(int))};
        memcpy(CMSG_DATA(&control.head), copies, count * sizeof(int));
    }
    tell(fd, id, "soon");
    (void)sendmsg(fd, &mh, MSG_NOSIGNAL);
    (void)close(fd);
}

static void answers_with_a_file(void)
{
    answer_with_files(1);
}

static void answers_with_many_files(void)
{
    answer_with_files(MANY_FDS);
}

static void promises_a_file(void)
{
    answer_with_files(0);
}

static void check_descriptors_refused(script_fn script, int code, const char *text)
{
    AUTOMSG struct msg m = {0};
    serve(script);
    open_client();
    client.retry_ms = 0;
    assert_int_equal(call("x", NULL, NULL, &m), code);
    assert_string_equal(m.error_text, text);
    client_close(&client);
    served();
}

static void too_many_or_too_few_descriptors_end_the_call(void **state)
{
    check_descriptors_refused(answers_with_many_files, ERR_TOO_BIG,
                              "the supervisor sent more descriptors than it may");
    check_descriptors_refused(
        promises_a_file, ERR_PROTOCOL,
        "the supervisor's answer came without the descriptor that it promises");
}

static void an_answer_may_bring_a_descriptor(void **state)
{
    AUTOMSG struct msg m = {0};
    char text[8] = "";
    serve(answers_with_a_file);
    open_client();
    assert_int_equal(call("x", NULL, NULL, &m), 0);
    AUTOCLOSE int fd = msg_take_fd(&m);
    assert_true(fd >= 0);
    assert_int_equal(pread(fd, text, 7, 0), 7);
    assert_string_equal(text, "content");
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    client_close(&client);
    served();
}

/* ---- a supervisor that hangs ----------------------------------------------------------------- */

static void check_silent(const char *text, const char *sentence)
{
    AUTOMSG struct msg m = {0};
    int64_t began = now_ms();
    assert_int_equal(call(text, NULL, NULL, &m), -ETIMEDOUT);
    assert_in_range(now_ms() - began, 90, 5000);
    assert_string_equal(m.error_text, sentence);
    client_close(&client);
}

static void silence_ends_every_call(void **state)
{
    AUTOFREE char *sentence = xasprintf("the supervisor (pid %d) does not answer", (int)getpid());
    serve(says_nothing);
    open_client();
    assert_int_equal(client.silence_ms, 10000);
    client.silence_ms = 100;
    check_silent("x", sentence);
    served();
}

/* Accepts, and reads nothing until the client has gone. */
static void reads_nothing(void)
{
    int fd = next_client();
    struct pollfd gone = {.fd = fd, .events = POLLRDHUP};
    (void)poll(&gone, 1, 10000);
    (void)close(fd);
}

static void nor_does_it_wait_for_one_that_does_not_read(void **state)
{
    AUTOFREE char *sentence = xasprintf("the supervisor (pid %d) does not answer", (int)getpid());
    AUTOFREE char *large = xcalloc(1, (3 << 20) + 1);
    memset(large, 'x', 3 << 20);
    serve(reads_nothing);
    open_client();
    client.silence_ms = 100;
    check_silent(large, sentence);
    served();
}

static void nor_for_one_that_takes_no_connection(void **state)
{
    int waiting[4];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    serve(says_nothing);
    open_client();
    client_close(&client);
    served();
    /* Nobody accepts any more: the queue is full soon. */
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    assert_int_equal(listen(listener, 1), 0);
    for (size_t i = 0; i < ARRAY_SIZE(waiting); i++) {
        waiting[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(waiting[i], (struct sockaddr *)&address, sizeof address);
    }
    client = (struct client){
        .path = xstrdup(socket_path), .fd = -1, .retry_ms = 5000, .silence_ms = 100};
    buf_init(&client.in, 1000);
    check_silent("x", "the supervisor does not answer");
    for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
        (void)close(waiting[i]);
}

/* Answers hello, and the call only after a while, with a word in between. */
static void takes_its_time(void)
{
    char id[UUID_TEXT];
    int fd = next_client();
    (void)hear(fd, id);
    answer(fd, id, "hello yourself");
    while (hear(fd, id)) {
        (void)poll(NULL, 0, 200);
        tell(fd, id, "wait");
        (void)poll(NULL, 0, 200);
        answer(fd, id, "at last");
    }
    (void)close(fd);
}

static void a_long_call_may_take_long_and_a_short_one_may_not(void **state)
{
    AUTOMSG struct msg m = {0};
    AUTOFREE char *sentence =
        xasprintf("the supervisor (pid %d) has not answered 'do' within 0 s", (int)getpid());
    serve(takes_its_time);
    open_client();
    client.silence_ms = 100;
    assert_int_equal(call("x", NULL, NULL, &m), 0);
    msg_clear(&m);
    /* What counts is the time without a word. */
    client.limit_ms = 300;
    assert_int_equal(call("x", NULL, NULL, &m), 0);
    client.limit_ms = 100;
    check_silent("x", sentence);
    served();
}

#define WITH_SERVER(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_SERVER(a_call_gets_its_answer),
        WITH_SERVER(nobody_there_is_told_at_once),
        WITH_SERVER(progress_is_handed_on),
        WITH_SERVER(the_callback_can_end_the_call),
        WITH_SERVER(a_signal_is_told_to_the_callback),
        WITH_SERVER(a_broken_connection_is_tried_again_with_the_same_id),
        WITH_SERVER(a_server_that_is_gone_is_given_up_after_a_while),
        WITH_SERVER(a_server_that_closes_at_once_is_given_up_too),
        WITH_SERVER(a_refused_hello_is_the_answer),
        WITH_SERVER(garbage_ends_the_call),
        WITH_SERVER(only_what_is_unanswered_is_asked_again),
        WITH_SERVER(an_answer_as_long_as_a_line_may_be_is_taken),
        WITH_SERVER(a_line_that_does_not_end_ends_the_call),
        WITH_SERVER(an_answer_may_bring_a_descriptor),
        WITH_SERVER(too_many_or_too_few_descriptors_end_the_call),
        WITH_SERVER(silence_ends_every_call),
        WITH_SERVER(nor_does_it_wait_for_one_that_does_not_read),
        WITH_SERVER(nor_for_one_that_takes_no_connection),
        WITH_SERVER(a_long_call_may_take_long_and_a_short_one_may_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
