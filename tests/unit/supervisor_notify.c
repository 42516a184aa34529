#include "supervisor/notify.h"

#include "tests/unit/support.h"

#include <sys/socket.h>
#include <sys/un.h>

static void half_of_what_systemd_waits(void **state)
{
    assert_int_equal(notify_interval_ms("60000000"), 30000);
    assert_int_equal(notify_interval_ms("2000"), 1);
    assert_int_equal(notify_interval_ms("1"), 1);
    assert_int_equal(notify_interval_ms(NULL), 0);
    assert_int_equal(notify_interval_ms(""), 0);
    assert_int_equal(notify_interval_ms("0"), 0);
    assert_int_equal(notify_interval_ms("-5"), 0);
    assert_int_equal(notify_interval_ms("1s"), 0);
}

static void a_message_arrives_whole(void **state)
{
    char text[64] = "";
    AUTOFREE char *path = in_folder("socket");
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    (void)snprintf(at.sun_path, sizeof at.sun_path, "%s", path);
    AUTOCLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(notify_send(path, "READY=1\nSTATUS=x"), 0);
    assert_int_equal(recv(fd, text, sizeof text - 1, MSG_DONTWAIT), 16);
    assert_string_equal(text, "READY=1\nSTATUS=x");
}

static void an_address_that_is_none_is_refused(void **state)
{
    AUTOFREE char *path = in_folder("nobody");
    char far[300];
    (void)memset(far, '/', sizeof far - 1);
    far[sizeof far - 1] = '\0';
    assert_int_equal(notify_send("", "x"), -EINVAL);
    assert_int_equal(notify_send("vsock:1:2", "x"), -EINVAL);
    assert_int_equal(notify_send(far, "x"), -EINVAL);
    assert_int_equal(notify_send(path, "x"), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(half_of_what_systemd_waits),
        cmocka_unit_test(a_message_arrives_whole),
        cmocka_unit_test(an_address_that_is_none_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
