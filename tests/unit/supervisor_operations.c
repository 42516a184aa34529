#include "supervisor/operations.h"

#include "tests/unit/bare_supervisor.h"

#include "lib/base/json.h"
#include "lib/base/str.h"

/* One supervisor after the other; what the first leaves is `left`. */
static struct supervisor sup;
static json_t *left;
static char *path;

/* errored[i]: an instance with pm_id i to which something was done changes[i] times.  To stop it is done at once. */
static struct instance *errored[3];

static void start(const unsigned changes[static 3])
{
    struct app_spec spec;
    struct strlist env = {0};
    assert_int_equal(bare_open(&sup), 0);
    state_file_init(&sup.state_file, &sup, path);
    app_spec_init(&spec);
    spec.name = xstrdup("web");
    struct app *app = app_new(&sup, &spec, &env);
    for (unsigned i = 0; i < 3; i++) {
        errored[i] = instance_new(app, i, (int)i);
        errored[i]->state = INSTANCE_ERRORED;
        errored[i]->changes = changes[i];
    }
}

static void stop(void)
{
    json_decref(left);
    left = operations_to_json(&sup.operations);
    assert_int_equal(bare_close(&sup), 0);
    state_file_clear(&sup.state_file);
}

/* The next supervisor finds the instances with these counts. */
static void start_again(unsigned first, unsigned second, unsigned third)
{
    stop();
    start((const unsigned[3]){first, second, third});
    operations_from_json(&sup.operations, left);
}

static int set_up(void **state)
{
    if (make_folder(state) < 0)
        return -1;
    path = in_folder("state.json");
    start((const unsigned[3]){0, 0, 0});
    return 0;
}

static int tear_down(void **state)
{
    stop();
    json_decref(left);
    left = NULL;
    free(path);
    return remove_folder(state);
}

static struct operation *add(const char *id, enum operation_action action)
{
    struct operation *op = operation_new(&sup.operations, NULL, id);
    for (size_t i = 0; i < 3; i++)
        operation_add(op, errored[i], action);
    return op;
}

/* "0 stopped, …": what the answer with this id says; NULL: there is none. */
static char *answer_of(const char *id)
{
    AUTOJSON json_t *all = operations_to_json(&sup.operations);
    struct buf text = BUF_INIT(10000);
    (void)buf_addstr(&text, "");
    size_t i, k;
    json_t *op, *item;
    json_array_foreach(all, i, op)
    {
        const json_t *answer = json_object_get(op, "answer");
        if (!answer || !str_eq(json_get_string(op, "id", ""), id))
            continue;
        json_array_foreach(json_object_get(answer, "instances"), k, item)
        {
            (void)buf_addf(&text, "%s%d %s", k ? ", " : "", (int)json_get_int(item, "pm_id", -1),
                           json_get_string(item, "status", "?"));
        }
        return buf_take(&text);
    }
    buf_clear(&text);
    return NULL;
}

static void assert_answer(const char *id, const char *expected)
{
    AUTOFREE char *text = answer_of(id);
    assert_non_null(text);
    assert_string_equal(text, expected);
}

static void each_thing_done_is_counted(void **state)
{
    operation_go(add("a", ACTION_STOPPED));
    assert_answer("a", "0 stopped, 1 stopped, 2 stopped");
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(errored[i]->changes, 1);
    /* Also what means nothing in this state. */
    operation_go(add("b", ACTION_STOPPED));
    assert_int_equal(errored[0]->changes, 2);
    /* But what leaves it alone is not. */
    operation_go(add("c", ACTION_UNCHANGED));
    assert_answer("c", "0 stopped, 1 stopped, 2 stopped");
    assert_int_equal(errored[0]->changes, 2);
}

static void what_was_not_done_yet_is_done_by_the_next_supervisor(void **state)
{
    (void)add("a", ACTION_STOPPED);
    start_again(0, 1, 0);
    assert_null(answer_of("a"));
    operations_go_on(&sup.operations);
    assert_int_equal(errored[0]->state, INSTANCE_STOPPED);
    assert_int_equal(errored[1]->state, INSTANCE_ERRORED);
    assert_int_equal(errored[2]->state, INSTANCE_STOPPED);
    assert_int_equal(errored[1]->changes, 1);
    assert_answer("a", "0 stopped, 1 errored, 2 stopped");
}

static void what_is_still_on_its_way_is_waited_for(void **state)
{
    (void)add("a", ACTION_STOPPED);
    start_again(1, 1, 1);
    errored[1]->state = INSTANCE_STOPPING;
    operations_go_on(&sup.operations);
    assert_null(answer_of("a"));
    instance_event(errored[1], EV_EXITED_DONE);
    assert_answer("a", "0 errored, 1 stopped, 2 errored");
}

static void two_operations_on_one_instance_are_done_once_each(void **state)
{
    (void)add("a", ACTION_STOPPED);
    for (size_t i = 0; i < 3; i++)
        errored[i]->changes = 1; /* "a" was done */
    (void)add("b", ACTION_STOPPED);
    start_again(1, 2, 1);
    operations_go_on(&sup.operations);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(errored[i]->changes, 2);
    assert_answer("a", "0 stopped, 1 errored, 2 stopped");
    assert_answer("b", "0 stopped, 1 errored, 2 stopped");
}

static void a_deletion_survives_also_when_its_slot_is_empty_already(void **state)
{
    for (size_t i = 0; i < 3; i++)
        errored[i]->changes = 7;
    (void)add("start", ACTION_STARTED);
    for (size_t i = 0; i < 3; i++)
        errored[i]->changes = 8;
    (void)add("delete", ACTION_DELETED);
    /* All were stopped and freed, and then nothing could be stored any more. */
    start_again(0, 0, 0);
    for (size_t i = 0; i < 3; i++)
        errored[i]->state = INSTANCE_STOPPED;
    operations_go_on(&sup.operations);
    assert_true(list_empty(&sup.apps));
    assert_answer("delete", "0 deleted, 1 deleted, 2 deleted");
    assert_answer("start", "0 deleted, 1 deleted, 2 deleted");
}

static void one_that_is_not_there_any_more_counts_as_deleted(void **state)
{
    (void)add("a", ACTION_DELETED);
    start_again(1, 1, 1);
    operations_clear(&sup.operations);
    errored[1]->pm_id = 50; /* a new one in its place */
    operations_from_json(&sup.operations, left);
    for (size_t i = 0; i < 3; i++)
        errored[i]->delete_when_stopped = i != 1;
    operations_go_on(&sup.operations);
    assert_answer("a", "0 errored, 1 deleted, 2 errored");
}

static void answers_are_kept_for_the_next_supervisors(void **state)
{
    operation_go(add("a", ACTION_STOPPED));
    start_again(1, 1, 1);
    start_again(1, 1, 1);
    operations_go_on(&sup.operations);
    assert_answer("a", "0 stopped, 1 stopped, 2 stopped");
    assert_int_equal(errored[0]->changes, 1);
}

static void only_the_last_answers_are_kept(void **state)
{
    for (int i = 0; i < 100; i++) {
        AUTOFREE char *id = xasprintf("%d", i);
        operation_go(add(id, ACTION_UNCHANGED));
    }
    start_again(0, 0, 0);
    assert_null(answer_of("35"));
    assert_answer("36", "0 errored, 1 errored, 2 errored");
    assert_answer("99", "0 errored, 1 errored, 2 errored");
}

static void answer_at_length(const char *id, size_t bytes)
{
    AUTOFREE char *text = xcalloc(1, bytes + 1);
    AUTOJSON json_t *answer = json_object();
    memset(text, 'x', bytes);
    json_set_string(answer, "text", text);
    operations_answered(&sup.operations, id, answer);
}

static void large_answers_drive_others_out_and_the_last_one_stays(void **state)
{
    operation_go(add("a", ACTION_UNCHANGED));
    answer_at_length("b", 600 << 10);
    assert_answer("a", "0 errored, 1 errored, 2 errored");
    answer_at_length("c", 600 << 10);
    assert_null(answer_of("a"));
    assert_null(answer_of("b"));
    assert_answer("c", "");
    answer_at_length("d", 2 << 20);
    assert_null(answer_of("c"));
    assert_answer("d", "");
}

/* From an older or newer supervisor, or damaged. */
static void a_record_that_makes_no_sense_does_no_harm(void **state)
{
    static const char *const texts[] = {
        "{}", "[1,{},{\"id\":\"a\"},{\"id\":\"b\",\"items\":[1,{},{\"name\":\"web\"},{\"name\":"
              "\"web\",\"instance\":-1},"
              "{\"name\":\"web\",\"instance\":99999999999,\"pm_id\":0},{\"name\":\"web\","
              "\"instance\":0,\"pm_id\":0,"
              "\"action\":\"exploded\",\"changes\":-1}]},{\"id\":7,\"answer\":\"x\"}]"};
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        AUTOJSON json_t *j = json_loads(texts[i], 0, NULL);
        operations_from_json(&sup.operations, j);
        operations_go_on(&sup.operations);
        assert_true(list_empty(&sup.operations.running));
    }
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(errored[i]->changes, 0);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_thing_done_is_counted),
        TEST(what_was_not_done_yet_is_done_by_the_next_supervisor),
        TEST(what_is_still_on_its_way_is_waited_for),
        TEST(two_operations_on_one_instance_are_done_once_each),
        TEST(a_deletion_survives_also_when_its_slot_is_empty_already),
        TEST(one_that_is_not_there_any_more_counts_as_deleted),
        TEST(answers_are_kept_for_the_next_supervisors),
        TEST(only_the_last_answers_are_kept),
        TEST(large_answers_drive_others_out_and_the_last_one_stays),
        TEST(a_record_that_makes_no_sense_does_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
