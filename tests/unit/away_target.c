#include "supervisor/cli/away/target.h"

#include "tests/unit/support.h"

#include "lib/base/json.h"
#include "lib/base/limits.h"
#include "lib/base/str.h"

static json_t *processes;
static char text[400];

static json_t *add(const char *host, const char *app, int instance, int pid)
{
    AUTOFREE char *id = xasprintf("id-%s", host);
    json_t *process = json_object();
    json_set_string(process, "host", id);
    json_set_string(process, "host_name", host);
    json_set_string(process, "app", app);
    json_set_int(process, "instance", instance);
    json_set_int(process, "pid", pid);
    (void)json_array_append_new(processes, process);
    return process;
}

static int set_up(void **state)
{
    processes = json_array();
    (void)add("web1", "api", 0, 10);
    (void)add("web1", "api", 1, 11);
    (void)add("web2", "api", 0, 20);
    (void)add("web2", "my-app-1", 0, 21);
    (void)add("web2", "my-app", 1, 22);
    (void)add("web2", "a@b", 0, 23);
    return 0;
}

static int tear_down(void **state)
{
    json_decref(processes);
    return 0;
}

static json_t *choose(const char *target, int64_t instance, int64_t pid)
{
    const struct target_choice choice = {.target = target, .instance = instance, .pid = pid};
    text[0] = '\0';
    json_t *chosen = target_select(processes, &choice, text, sizeof text);
    assert_true(!chosen == (text[0] != '\0'));
    return chosen;
}

/* What is meant, as the pids with blanks between. */
static void assert_means(const char *target, int64_t instance, const char *pids)
{
    AUTOJSON json_t *chosen = choose(target, instance, 0);
    AUTOBUF struct buf found = BUF_INIT(1000);
    for (size_t i = 0; i < json_array_size(chosen); i++)
        (void)buf_addf(&found, "%s%lld", i ? " " : "",
                       (long long)json_get_int(json_array_get(chosen, i), "pid", 0));
    if (!str_eq(buf_str(&found), pids))
        fail_msg("%s: %s (%s)", target, buf_str(&found), text);
}

static void assert_refused(const char *target, const char *sentence)
{
    assert_null(choose(target, -1, 0));
    assert_string_equal(text, sentence);
}

static void an_app_means_it_on_all_hosts(void **state)
{
    assert_means("api", -1, "10 11 20");
    assert_means("api-0", -1, "10 20");
    assert_means("api-1", -1, "11");
    assert_means("api", 0, "10 20");
}

static void a_host_is_named_or_given_by_its_id(void **state)
{
    assert_means("api@web1", -1, "10 11");
    assert_means("api@id-web1", -1, "10 11");
    assert_means("api-1@web1", -1, "11");
    assert_means("api@web1", 1, "11");
}

static void names_with_dashes_and_ats_mean_themselves(void **state)
{
    assert_means("my-app-1", -1, "21");
    assert_means("my-app", -1, "22");
    assert_means("my-app-1-0", -1, "21");
    assert_means("my-app-1@web2", -1, "21");
    assert_means("a@b", -1, "23");
    assert_means("a@b-0", -1, "23");
    assert_means("a@b@web2", -1, "23");
}

static void says_what_there_is_not(void **state)
{
    assert_refused("appi", "no host of this console has an app \"appi\"; did you mean \"api\"?");
    assert_refused("nothing-like-it", "no host of this console has an app \"nothing-like-it\"");
    assert_refused("api@web3", "no host with processes is called \"web3\"; did you mean \"web1\"?");
    assert_refused("my-app@web1", "host \"web1\" has no app \"my-app\"");
    assert_refused("", "no host of this console has an app \"\"");
    assert_null(choose("api@web1", 7, 0));
    assert_string_equal(text, "api@web1 has no such instance");
    json_array_clear(processes);
    assert_refused("api@x", "no host with processes is called \"x\"");
}

static void what_does_not_run_is_left_out_when_others_do(void **state)
{
    (void)add("web3", "api", 0, 0);
    (void)add("web3", "down", 0, 0);
    assert_means("api", -1, "10 11 20");
    assert_means("api@web3", -1, "0");
    assert_means("down", -1, "0");
}

static void hosts_that_are_away_are_left_out_when_others_are_not(void **state)
{
    json_set_bool(add("web3", "api", 0, 30), "stale", true);
    json_set_bool(add("web3", "far", 0, 31), "stale", true);
    assert_means("api", -1, "10 11 20");
    assert_means("api@web3", -1, "30");
    assert_means("far", -1, "31");
}

static void a_child_needs_one_parent(void **state)
{
    AUTOJSON json_t *one = choose("api-1", -1, 999);
    assert_int_equal(json_array_size(one), 1);
    assert_null(choose("api", -1, 999));
    assert_non_null(strstr(text, "means 3 processes: with --pid say which one's child"));
}

static void more_than_an_order_may_have_is_refused(void **state)
{
    for (unsigned i = 0; i < LIMIT_CAPTURE_TARGETS; i++)
        (void)add("big", "many", (int)i, 1000 + (int)i);
    AUTOJSON json_t *all = choose("many", -1, 0);
    assert_int_equal(json_array_size(all), LIMIT_CAPTURE_TARGETS);
    (void)add("web1", "many", 0, 5000);
    assert_null(choose("many", -1, 0));
    assert_non_null(strstr(text, "at most 100"));
}

static void labels_say_the_host(void **state)
{
    AUTOFREE char *label = target_label(json_array_get(processes, 1));
    assert_string_equal(label, "api-1@web1");
    AUTOJSON json_t *nothing = json_object();
    AUTOFREE char *odd = target_label(nothing);
    assert_string_equal(odd, "?-0@?");
}

#define WITH_HOSTS(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_HOSTS(an_app_means_it_on_all_hosts),
        WITH_HOSTS(a_host_is_named_or_given_by_its_id),
        WITH_HOSTS(names_with_dashes_and_ats_mean_themselves),
        WITH_HOSTS(says_what_there_is_not),
        WITH_HOSTS(what_does_not_run_is_left_out_when_others_do),
        WITH_HOSTS(hosts_that_are_away_are_left_out_when_others_are_not),
        WITH_HOSTS(a_child_needs_one_parent),
        WITH_HOSTS(more_than_an_order_may_have_is_refused),
        WITH_HOSTS(labels_say_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
