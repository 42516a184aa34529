/* Answers to actions over the lives of several supervisors. */
#include "supervisor/ipc_trigger.h"

#include "tests/unit/bare_supervisor.h"
#include "tests/unit/fake_keeper.h"

#include "lib/base/json.h"

static struct supervisor sup;
static struct fake_keeper keeper;
static struct instance *in;

static void begin(void)
{
    struct app_spec spec;
    struct strlist env = {0};
    assert_int_equal(bare_open(&sup), 0);
    fake_keeper_begin(&keeper);
    sup.keep = keeper.link;
    app_spec_init(&spec);
    spec.name = xstrdup("web");
    in = instance_new(app_new(&sup, &spec, &env), 0, 7);
    in->pgid = 1234;
    triggers_restore(&sup.triggers);
}

static void kill_it(void)
{
    keeper.link = sup.keep;
    fake_keeper_killed(&keeper);
    sup.keep = (struct keep_link){.sock = -1};
    assert_int_equal(bare_close(&sup), 0);
}

static int set_up(void **state)
{
    keeper = (struct fake_keeper){0};
    begin();
    return 0;
}

static int tear_down(void **state)
{
    kill_it();
    while (keeper.count > 0)
        fake_remove(&keeper, 0);
    return 0;
}

static void next_life(void)
{
    kill_it();
    begin();
}

/* Two that ask the same of the same app. */
static void ask_twice(void)
{
    static const char text[] = "{\"triggers\":["
                               "{\"id\":\"a\",\"action\":\"count\",\"until_ms\":9000000000000000,"
                               "\"answers\":[{\"pm_id\":7}]},"
                               "{\"id\":\"b\",\"action\":\"count\",\"until_ms\":9000000000000000,"
                               "\"answers\":[{\"pm_id\":7}]}]}";
    assert_int_equal(keep_put(&sup.keep, text, strlen(text), "triggers"), 0);
    next_life();
}

static void reply(unsigned received_before, int value)
{
    AUTOJSON json_t *data = json_object();
    json_set_string(data, "action_name", "count");
    json_set_int(data, "return", value);
    in->slot->ipc_received = received_before;
    triggers_replied(&sup.triggers, in, data);
}

/* -1: none yet. */
static int64_t answer_to(const char *id)
{
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    assert_int_equal(keep_get(&sup.keep, &text, "triggers"), 0);
    AUTOJSON json_t *all = json_object_parse(text.data, text.len);
    size_t i;
    json_t *record;
    json_array_foreach(json_object_get(all, "triggers"), i, record)
    {
        if (strcmp(json_get_string(record, "id", ""), id) == 0)
            return json_get_int(json_array_get(json_object_get(record, "answers"), 0), "return",
                                -1);
    }
    fail();
    return -1;
}

static void answers_go_to_the_oldest_that_waits(void **state)
{
    ask_twice();
    reply(0, 10);
    assert_int_equal(answer_to("a"), 10);
    assert_int_equal(answer_to("b"), -1);
    reply(1, 11);
    assert_int_equal(answer_to("b"), 11);
}

static void one_that_comes_again_is_nobody_else_s(void **state)
{
    ask_twice();
    reply(5, 10);
    next_life();
    reply(5, 10);
    assert_int_equal(answer_to("a"), 10);
    assert_int_equal(answer_to("b"), -1);
    reply(6, 11);
    assert_int_equal(answer_to("b"), 11);
    /* The next process counts from the beginning. */
    next_life();
    in->pgid = 1235;
    reply(5, 12);
    assert_int_equal(answer_to("a"), 10);
}

static void what_is_stored_stays_whole_while_it_is_restored(void **state)
{
    ask_twice();
    reply(0, 10);
    for (int i = 0; i < 3; i++) {
        next_life();
        assert_int_equal(answer_to("a"), 10);
        assert_int_equal(answer_to("b"), -1);
    }
    reply(1, 11);
    assert_int_equal(answer_to("b"), 11);
}

/* So that a client that repeats its request is answered. */
static void the_newest_that_are_finished_stay(void **state)
{
    AUTOBUF struct buf text = BUF_INIT(1 << 20);
    assert_int_equal(buf_addf(&text, "{\"triggers\":["), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(buf_addf(&text,
                                  "%s{\"id\":\"%d\",\"answers\":[{\"pm_id\":7,\"return\":%d}]}",
                                  i ? "," : "", i, i),
                         0);
    assert_int_equal(buf_addf(&text, "]}"), 0);
    assert_int_equal(keep_put(&sup.keep, text.data, text.len, "triggers"), 0);
    next_life();
    assert_int_equal(list_count(&sup.triggers.finished), 8);
    assert_int_equal(answer_to("12"), 12);
    assert_int_equal(answer_to("19"), 19);
}

#define RUN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RUN(answers_go_to_the_oldest_that_waits),
        RUN(one_that_comes_again_is_nobody_else_s),
        RUN(what_is_stored_stays_whole_while_it_is_restored),
        RUN(the_newest_that_are_finished_stay),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
