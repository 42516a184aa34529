/* A console with several addresses: the test is what looks names up. */
#include "agent/uplink.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <sys/socket.h>

#include "agent/identity.h"
#include "agent/resolve.h"
#include "tests/unit/agent_console.h"

enum { WAITING = 4 };

static const char *addresses[RESOLVE_ADDRESSES];
static unsigned address_count;
static struct uplink *uplink;
static struct identity id;
static int hole, waiting[WAITING], closed_code;
static bool is_open, is_closed;
static uv_timer_t answering;
static resolve_cb answer;
static void *answer_arg;

/* ---- in the place of agent/resolve.c --------------------------------------------------------- */

static void on_answering(uv_timer_t *timer)
{
    struct resolved found = {.count = address_count};
    for (unsigned i = 0; i < address_count; i++)
        (void)snprintf(found.address[i], RESOLVE_TEXT, "%s", addresses[i]);
    answer(answer_arg, 0, "", &found);
}

int resolve_start(uv_loop_t *loop, const char *host, resolve_cb done, void *arg,
                  struct resolve **ret_resolve)
{
    answer = done;
    answer_arg = arg;
    (void)uv_timer_start(&answering, on_answering, 0, 0);
    *ret_resolve = (struct resolve *)&answering;
    return 0;
}

void resolve_cancel(struct resolve *r)
{
    (void)uv_timer_stop(&answering);
}

/* ---- the uplink ------------------------------------------------------------------------------ */

static void on_open(void *arg, const json_t *hello)
{
    is_open = true;
}

static void on_message(void *arg, const char *type, const json_t *message)
{
}

static size_t on_room(void *arg, uint8_t frame[static BLOB_HEADER + BLOB_CHUNK])
{
    return 0;
}

static void on_closed(void *arg, int code, const char *text)
{
    is_closed = true;
    closed_code = code;
}

static const struct uplink_callbacks callbacks = {
    .on_open = on_open, .on_message = on_message, .on_room = on_room, .on_closed = on_closed};

/* Takes no connection, and says nothing either: its queue is full. */
static void dig_hole(const char *address)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)console.port)};
    assert_int_equal(inet_pton(AF_INET, address, &at.sin_addr), 1);
    hole = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(hole, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(hole, 0), 0);
    for (int i = 0; i < WAITING; i++) {
        waiting[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        (void)connect(waiting[i], (struct sockaddr *)&at, sizeof at);
    }
}

static int set_up(void **state)
{
    console_address = "127.0.0.1";
    console_open();
    console_identity(&id, -10, 1000);
    free(id.agents);
    id.agents = xasprintf("both.example:%u", console.port);
    is_open = is_closed = false;
    (void)uv_timer_init(&console.loop, &answering);
    uplink = uplink_new(&console.loop, &callbacks, NULL);
    dig_hole("127.0.0.3");
    return 0;
}

static int tear_down(void **state)
{
    uplink_end(uplink);
    uv_close((uv_handle_t *)&answering, NULL);
    for (int i = 0; i < WAITING; i++)
        (void)close(waiting[i]);
    (void)close(hole);
    console_run_for(1500);
    uplink_free(uplink);
    identity_clear(&id);
    console_close();
    return 0;
}

static int64_t now_ms(void)
{
    return (int64_t)(uv_hrtime() / 1000000);
}

/* The certificate is for 127.0.0.1 and not for the name: so reaching the console ends with ERR_UNTRUSTED, and that at once. */
static int64_t try_it(void)
{
    int64_t began = now_ms();
    is_closed = false;
    uplink_open(uplink, &id);
    while (!is_closed && now_ms() - began < 30000)
        console_run_for(20);
    assert_true(is_closed);
    return now_ms() - began;
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void goes_on_to_the_next_address_when_one_hangs(void **state)
{
    addresses[0] = "127.0.0.3";
    addresses[1] = "127.0.0.1";
    address_count = 2;
    assert_in_range(try_it(), 4000, 8000);
    assert_int_equal(closed_code, ERR_UNTRUSTED);
    /* And begins with that the next time. */
    assert_in_range(try_it(), 0, 2000);
    assert_int_equal(closed_code, ERR_UNTRUSTED);
}

static void loses_no_time_with_one_that_refuses(void **state)
{
    addresses[0] = "127.0.0.9";
    addresses[1] = "127.0.0.1";
    address_count = 2;
    assert_in_range(try_it(), 0, 2000);
    assert_int_equal(closed_code, ERR_UNTRUSTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(goes_on_to_the_next_address_when_one_hangs, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(loses_no_time_with_one_that_refuses, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
