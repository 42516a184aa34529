/* Every event in every standing, and the clock. */
#include "remote/capture_state.h"

#include "tests/unit/support.h"

#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/str.h"
#include "remote/store/captures.h"

#define NOW 1000000000000LL
#define ID "01890a5d-ac96-774b-bcce-b302099a8057"
enum {
    DURATION = 10000,
    LATER = 5000,
    STANDINGS = STANDING_SETTLED + 1,
    EVENTS = CAPTURE_EVENT_COUNT
};

static struct capture_row row;

static void set_facts(const char *text)
{
    free(row.record);
    row.record = xstrdup(text);
}

/* A row that stands so, made at NOW. */
static void stand(enum capture_standing standing)
{
    static const char *const states[STANDINGS] = {"queued", "queued", "running",
                                                  "done",   "failed", "failed"};
    capture_row_clear(&row);
    row = (struct capture_row){
        .duration_ms = DURATION, .created_ms = NOW, .not_after_ms = NOW + 60000};
    (void)strcpy(row.id, ID);
    (void)strcpy(row.host_name, "one");
    (void)strcpy(row.state, states[standing]);
    if (standing >= STANDING_GIVEN) {
        row.sent_ms = NOW;
        row.due_ms = NOW + DURATION + CAPTURE_SLACK_MS;
    }
    if (standing >= STANDING_RUNNING)
        set_facts("{\"state\":\"running\",\"phase\":\"open\",\"phases\":[]}");
    if (standing >= STANDING_OWED)
        row.ended_ms = NOW + 1;
    row.given_up = standing == STANDING_GIVEN_UP;
    assert_int_equal(capture_standing(&row), standing);
}

static struct capture_record told(const char *state, const char *phase)
{
    struct capture_record r;
    char why[256];
    AUTOJSON json_t *j = json_pack("{s:s,s:s,s:s,s:i,s:s,s:s}", "id", ID, "kind", "cpu", "app",
                                   "web", "instance", 0, "state", state, "phase", phase);
    assert_int_equal(capture_record_take(j, &r, why, sizeof why), 0);
    return r;
}

static const char *told_state(enum capture_event event)
{
    switch ((int)event) {
    case CAPTURE_ON_QUEUED:
        return "queued";
    case CAPTURE_ON_RUNNING:
        return "running";
    case CAPTURE_ON_END:
        return "cancelled";
    case CAPTURE_ON_RESULT:
        return "done";
    }
    return "queued";
}

static unsigned happen_at(enum capture_event event, int64_t now_ms)
{
    AUTOCAPTURERECORD struct capture_record r = told(told_state(event), "running");
    const struct capture_happening h = {
        .event = event, .now_ms = now_ms, .record = &r, .code = "EIO", .text = "a sentence"};
    return capture_happen(&row, &h);
}

static unsigned happen(enum capture_event event)
{
    return happen_at(event, NOW + LATER);
}

// clang-format off
#define C CAPTURE_CHANGED
#define STAY(bits) {-1, bits}
/* What the table must do: where it leads, and the bits. */
static const struct cell {
    int to; /* -1: stays */
    unsigned bits;
} cells[STANDINGS][EVENTS] = {
    [STANDING_WAITING] = {
        [CAPTURE_ON_HOST] = {STANDING_GIVEN, C | CAPTURE_GIVE_START},
        [CAPTURE_ON_STOP] = {STANDING_SETTLED, C},
        [CAPTURE_ON_CANCEL] = {STANDING_SETTLED, C},
        [CAPTURE_ON_QUEUED] = {STANDING_GIVEN, C},
        [CAPTURE_ON_RUNNING] = {STANDING_RUNNING, C},
        [CAPTURE_ON_END] = {STANDING_SETTLED, C | CAPTURE_GIVE_ACK},
        [CAPTURE_ON_RESULT] = {STANDING_OWED, C},
        [CAPTURE_ON_UNKNOWN] = STAY(0),
        [CAPTURE_ON_LATE] = {STANDING_SETTLED, C},
        [CAPTURE_ON_DUE] = STAY(0), [CAPTURE_ON_STORED] = STAY(0), [CAPTURE_ON_LOST] = STAY(0),
        [CAPTURE_ON_MISSED] = STAY(0),
        [CAPTURE_ON_REVOKED] = {STANDING_SETTLED, C},
        [CAPTURE_ON_NO_CAPTURES] = {STANDING_SETTLED, C},
        [CAPTURE_ON_NO_RESULTS] = STAY(0),
    },
    [STANDING_GIVEN] = {
        [CAPTURE_ON_HOST] = STAY(CAPTURE_GIVE_START),
        [CAPTURE_ON_STOP] = STAY(C | CAPTURE_GIVE_STOP),
        [CAPTURE_ON_CANCEL] = STAY(C | CAPTURE_GIVE_CANCEL),
        [CAPTURE_ON_QUEUED] = STAY(C),
        [CAPTURE_ON_RUNNING] = {STANDING_RUNNING, C},
        [CAPTURE_ON_END] = {STANDING_SETTLED, C | CAPTURE_GIVE_ACK},
        [CAPTURE_ON_RESULT] = {STANDING_OWED, C},
        [CAPTURE_ON_UNKNOWN] = {STANDING_SETTLED, C},
        [CAPTURE_ON_LATE] = STAY(0),
        [CAPTURE_ON_DUE] = {STANDING_GIVEN_UP, C},
        [CAPTURE_ON_STORED] = STAY(0), [CAPTURE_ON_LOST] = STAY(0),
        [CAPTURE_ON_MISSED] = {STANDING_WAITING, C},
        [CAPTURE_ON_REVOKED] = {STANDING_SETTLED, C},
        [CAPTURE_ON_NO_CAPTURES] = STAY(0), [CAPTURE_ON_NO_RESULTS] = STAY(0),
    },
    [STANDING_RUNNING] = {
        [CAPTURE_ON_HOST] = STAY(CAPTURE_GIVE_GET),
        [CAPTURE_ON_STOP] = STAY(C | CAPTURE_GIVE_STOP),
        [CAPTURE_ON_CANCEL] = STAY(C | CAPTURE_GIVE_CANCEL),
        [CAPTURE_ON_QUEUED] = STAY(0),
        [CAPTURE_ON_RUNNING] = STAY(C),
        [CAPTURE_ON_END] = {STANDING_SETTLED, C | CAPTURE_GIVE_ACK},
        [CAPTURE_ON_RESULT] = {STANDING_OWED, C},
        [CAPTURE_ON_UNKNOWN] = {STANDING_SETTLED, C},
        [CAPTURE_ON_LATE] = STAY(0),
        [CAPTURE_ON_DUE] = {STANDING_GIVEN_UP, C},
        [CAPTURE_ON_STORED] = STAY(0), [CAPTURE_ON_LOST] = STAY(0),
        [CAPTURE_ON_MISSED] = STAY(0),
        [CAPTURE_ON_REVOKED] = {STANDING_SETTLED, C},
        [CAPTURE_ON_NO_CAPTURES] = STAY(0), [CAPTURE_ON_NO_RESULTS] = STAY(0),
    },
    [STANDING_OWED] = {
        [CAPTURE_ON_HOST] = STAY(CAPTURE_GIVE_GET),
        [CAPTURE_ON_STOP] = STAY(CAPTURE_REFUSED),
        [CAPTURE_ON_CANCEL] = STAY(CAPTURE_REFUSED),
        [CAPTURE_ON_QUEUED] = STAY(0), [CAPTURE_ON_RUNNING] = STAY(0),
        [CAPTURE_ON_END] = {STANDING_SETTLED, C | CAPTURE_GIVE_ACK},
        [CAPTURE_ON_RESULT] = STAY(0),
        [CAPTURE_ON_UNKNOWN] = {STANDING_SETTLED, C | CAPTURE_GIVE_ACK},
        [CAPTURE_ON_LATE] = STAY(0), [CAPTURE_ON_DUE] = STAY(0),
        [CAPTURE_ON_STORED] = {STANDING_SETTLED, C | CAPTURE_GIVE_ACK},
        [CAPTURE_ON_LOST] = {STANDING_SETTLED, C | CAPTURE_GIVE_ACK},
        [CAPTURE_ON_MISSED] = STAY(0),
        [CAPTURE_ON_REVOKED] = {STANDING_SETTLED, C},
        [CAPTURE_ON_NO_CAPTURES] = STAY(0),
        [CAPTURE_ON_NO_RESULTS] = {STANDING_SETTLED, C | CAPTURE_GIVE_ACK},
    },
    [STANDING_GIVEN_UP] = {
        [CAPTURE_ON_HOST] = STAY(CAPTURE_GIVE_GET),
        [CAPTURE_ON_STOP] = STAY(CAPTURE_REFUSED),
        [CAPTURE_ON_CANCEL] = STAY(CAPTURE_REFUSED),
        [CAPTURE_ON_QUEUED] = STAY(0), [CAPTURE_ON_RUNNING] = STAY(0),
        [CAPTURE_ON_END] = {STANDING_SETTLED, C | CAPTURE_GIVE_ACK},
        [CAPTURE_ON_RESULT] = {STANDING_OWED, C},
        [CAPTURE_ON_UNKNOWN] = {STANDING_SETTLED, C},
        [CAPTURE_ON_LATE] = STAY(0), [CAPTURE_ON_DUE] = STAY(0),
        [CAPTURE_ON_STORED] = STAY(0), [CAPTURE_ON_LOST] = STAY(0),
        [CAPTURE_ON_MISSED] = STAY(0),
        [CAPTURE_ON_REVOKED] = {STANDING_SETTLED, C},
        [CAPTURE_ON_NO_CAPTURES] = STAY(0), [CAPTURE_ON_NO_RESULTS] = STAY(0),
    },
    [STANDING_SETTLED] = {
        [CAPTURE_ON_HOST] = STAY(0),
        [CAPTURE_ON_STOP] = STAY(CAPTURE_REFUSED),
        [CAPTURE_ON_CANCEL] = STAY(CAPTURE_REFUSED),
        [CAPTURE_ON_QUEUED] = STAY(0), [CAPTURE_ON_RUNNING] = STAY(0),
        [CAPTURE_ON_END] = STAY(CAPTURE_GIVE_ACK),
        [CAPTURE_ON_RESULT] = STAY(CAPTURE_GIVE_ACK),
        [CAPTURE_ON_UNKNOWN] = STAY(0), [CAPTURE_ON_LATE] = STAY(0), [CAPTURE_ON_DUE] = STAY(0),
        [CAPTURE_ON_STORED] = STAY(CAPTURE_GIVE_ACK),
        [CAPTURE_ON_LOST] = STAY(CAPTURE_GIVE_ACK),
        [CAPTURE_ON_MISSED] = STAY(0), [CAPTURE_ON_REVOKED] = STAY(0),
        [CAPTURE_ON_NO_CAPTURES] = STAY(0), [CAPTURE_ON_NO_RESULTS] = STAY(0),
    },
};
// clang-format on

static int tear_down(void **state)
{
    capture_row_clear(&row);
    return 0;
}

static void each_event_does_in_each_standing_what_the_table_says(void **state)
{
    for (int s = 0; s < STANDINGS; s++)
        for (int e = 0; e < EVENTS; e++) {
            const struct cell *cell = &cells[s][e];
            stand((enum capture_standing)s);
            unsigned bits = happen((enum capture_event)e);
            int to = cell->to < 0 ? s : cell->to;
            if (bits != cell->bits || (int)capture_standing(&row) != to)
                fail_msg("%s, %s: bits %u not %u, now %s", capture_standing_name(s),
                         capture_event_name(e), bits, cell->bits,
                         capture_standing_name(capture_standing(&row)));
        }
}

static void an_end_is_never_taken_back(void **state)
{
    for (int s = STANDING_OWED; s < STANDINGS; s++)
        for (int e = 0; e < EVENTS; e++) {
            stand((enum capture_standing)s);
            (void)happen((enum capture_event)e);
            assert_true(row.ended_ms > 0);
            assert_true(capture_state_ended(row.state));
        }
}

static const char *error_name(void)
{
    AUTOJSON json_t *facts = json_object_parse(row.record, strlen(row.record));
    static char name[64];
    (void)snprintf(name, sizeof name, "%s",
                   json_get_string(json_object_get(facts, "error"), "name", "none"));
    return name;
}

static void what_was_never_given_ends_at_once(void **state)
{
    stand(STANDING_WAITING);
    (void)happen(CAPTURE_ON_STOP);
    assert_string_equal(row.state, "cancelled");
    assert_true(row.stop_wanted && !row.cancel_wanted && row.ended_ms == NOW + LATER);
    stand(STANDING_WAITING);
    (void)happen(CAPTURE_ON_CANCEL);
    assert_string_equal(row.state, "cancelled");
    assert_true(row.cancel_wanted);
    stand(STANDING_WAITING);
    (void)happen(CAPTURE_ON_LATE);
    assert_string_equal(row.state, "expired");
    assert_string_equal(error_name(), "EXPIRED");
}

static void is_not_given_when_its_time_has_passed(void **state)
{
    stand(STANDING_WAITING);
    assert_int_equal(happen_at(CAPTURE_ON_HOST, row.not_after_ms + 1), CAPTURE_CHANGED);
    assert_string_equal(row.state, "expired");
    assert_int_equal(row.sent_ms, 0);
}

static void a_given_one_is_due_after_its_length_and_the_slack(void **state)
{
    stand(STANDING_WAITING);
    (void)happen(CAPTURE_ON_HOST);
    assert_int_equal(row.sent_ms, NOW + LATER);
    assert_int_equal(row.due_ms, NOW + LATER + DURATION + CAPTURE_SLACK_MS);
    (void)happen_at(CAPTURE_ON_RUNNING, NOW + 2 * LATER);
    assert_int_equal(row.due_ms, NOW + 2 * LATER + DURATION + CAPTURE_SLACK_MS);
}

static void one_without_a_length_is_due_when_it_has_not_begun(void **state)
{
    stand(STANDING_WAITING);
    row.duration_ms = 0;
    (void)happen(CAPTURE_ON_HOST);
    assert_int_equal(row.due_ms, row.not_after_ms + CAPTURE_SLACK_MS);
    (void)happen(CAPTURE_ON_RUNNING);
    assert_int_equal(row.due_ms, NOW + LATER + LIMIT_CAPTURE_LONGEST_MS + CAPTURE_SLACK_MS);
}

static void a_stop_leaves_thirty_seconds_once(void **state)
{
    stand(STANDING_RUNNING);
    row.due_ms = NOW + 10 * LIMIT_CAPTURE_DURATION_MS;
    (void)happen(CAPTURE_ON_STOP);
    assert_int_equal(row.due_ms, NOW + LATER + CAPTURE_SLACK_MS);
    (void)happen_at(CAPTURE_ON_STOP, NOW + 4 * LATER);
    assert_int_equal(row.due_ms, NOW + LATER + CAPTURE_SLACK_MS);
}

static void phases_do_not_move_the_end_for_ever(void **state)
{
    static const char *const phases[] = {"stopping", "sending"};
    stand(STANDING_RUNNING);
    for (int i = 0; i < 1000; i++) {
        AUTOCAPTURERECORD struct capture_record r = told("running", phases[i % 2]);
        const struct capture_happening h = {
            .event = CAPTURE_ON_RUNNING, .now_ms = NOW + i * 10000LL, .record = &r};
        (void)capture_happen(&row, &h);
    }
    assert_int_equal(row.due_ms,
                     row.not_after_ms + DURATION + CAPTURE_SLACK_MS + CAPTURE_PHASES_MS);
}

static void the_same_phase_again_moves_nothing(void **state)
{
    stand(STANDING_RUNNING);
    (void)happen_at(CAPTURE_ON_RUNNING, NOW + LATER);
    int64_t due_ms = row.due_ms;
    (void)happen_at(CAPTURE_ON_RUNNING, NOW + 2 * LATER);
    assert_int_equal(row.due_ms, due_ms);
}

static void what_is_given_up_is_cancelled_when_that_was_wanted(void **state)
{
    stand(STANDING_RUNNING);
    (void)happen(CAPTURE_ON_CANCEL);
    (void)happen(CAPTURE_ON_DUE);
    assert_string_equal(row.state, "cancelled");
    assert_true(row.given_up);
    stand(STANDING_RUNNING);
    (void)happen(CAPTURE_ON_DUE);
    assert_string_equal(row.state, "failed");
    assert_string_equal(error_name(), "EIO");
    assert_non_null(strstr(row.record, "\"phase\":\"open\""));
}

static void a_late_end_replaces_what_was_given_up(void **state)
{
    stand(STANDING_RUNNING);
    (void)happen(CAPTURE_ON_DUE);
    (void)happen_at(CAPTURE_ON_RESULT, NOW + 100 * LATER);
    assert_string_equal(row.state, "done");
    assert_false(row.given_up);
    assert_string_equal(error_name(), "none");
    (void)happen(CAPTURE_ON_STORED);
    assert_true(row.has_profile);
    assert_int_equal(capture_standing(&row), STANDING_SETTLED);
}

static void a_wish_is_repeated_when_the_host_is_back(void **state)
{
    stand(STANDING_RUNNING);
    (void)happen(CAPTURE_ON_STOP);
    assert_int_equal(happen(CAPTURE_ON_HOST), CAPTURE_GIVE_STOP);
    (void)happen(CAPTURE_ON_CANCEL);
    assert_int_equal(happen(CAPTURE_ON_HOST), CAPTURE_GIVE_CANCEL);
    (void)happen(CAPTURE_ON_DUE);
    assert_int_equal(happen(CAPTURE_ON_HOST), CAPTURE_GIVE_CANCEL | CAPTURE_GIVE_GET);
    stand(STANDING_GIVEN);
    assert_int_equal(happen_at(CAPTURE_ON_HOST, row.not_after_ms + 1), CAPTURE_GIVE_GET);
}

static void unknown(const char *code, int64_t now_ms)
{
    const struct capture_happening h = {
        .event = CAPTURE_ON_UNKNOWN, .now_ms = now_ms, .code = code, .text = "a sentence"};
    (void)capture_happen(&row, &h);
}

static void what_the_host_does_not_know_ends_as_it_must(void **state)
{
    stand(STANDING_GIVEN);
    unknown("BUSY", NOW);
    assert_string_equal(row.state, "failed");
    assert_string_equal(error_name(), "BUSY");
    stand(STANDING_GIVEN);
    unknown("EXPIRED", NOW);
    assert_string_equal(row.state, "expired");
    stand(STANDING_GIVEN);
    unknown("NOT_FOUND", row.not_after_ms + 1);
    assert_string_equal(row.state, "expired");
    stand(STANDING_GIVEN);
    row.stop_wanted = true;
    unknown("NOT_FOUND", NOW);
    assert_string_equal(row.state, "cancelled");
    stand(STANDING_RUNNING);
    unknown("NOT_RUNNING", NOW);
    assert_string_equal(row.state, "running");
    stand(STANDING_RUNNING);
    unknown("NOT_FOUND", NOW);
    assert_string_equal(row.state, "failed");
}

static void a_result_that_the_host_has_not_any_more_is_lost_with_a_sentence(void **state)
{
    stand(STANDING_OWED);
    unknown("NOT_RUNNING", NOW);
    assert_int_equal(capture_standing(&row), STANDING_OWED);
    unknown("NOT_FOUND", NOW);
    assert_string_equal(row.state, "failed");
    assert_string_equal(error_name(), "NOT_FOUND");
    assert_non_null(strstr(row.record, "one does not have the result any more: a sentence"));
}

static void what_its_host_did_not_get_waits_again(void **state)
{
    stand(STANDING_GIVEN);
    (void)happen(CAPTURE_ON_MISSED);
    assert_int_equal(row.sent_ms, 0);
    assert_int_equal(row.due_ms, 0);
    (void)happen_at(CAPTURE_ON_LATE, row.not_after_ms + 1);
    assert_string_equal(row.state, "expired");
    stand(STANDING_GIVEN);
    (void)happen(CAPTURE_ON_CANCEL);
    (void)happen(CAPTURE_ON_MISSED);
    assert_string_equal(row.state, "cancelled");
    /* It was heard of: then it has it. */
    stand(STANDING_GIVEN);
    (void)happen(CAPTURE_ON_QUEUED);
    assert_int_equal(happen(CAPTURE_ON_MISSED), 0);
}

static void it_is_known_which_results_are_owed(void **state)
{
    stand(STANDING_RUNNING);
    (void)happen(CAPTURE_ON_RESULT);
    assert_true(row.result_owed);
    (void)happen(CAPTURE_ON_STORED);
    assert_false(row.result_owed);
    assert_true(row.was_stored && row.has_profile);
}

static void an_end_without_its_result_needs_none(void **state)
{
    stand(STANDING_OWED);
    set_facts("{\"state\":\"done\",\"warnings\":[\"result_removed\"]}");
    assert_int_equal(capture_standing(&row), STANDING_SETTLED);
    set_facts("{\"state\":\"done\",\"warnings\":[\"port_left_open\"]}");
    assert_int_equal(capture_standing(&row), STANDING_OWED);
    /* It came; whether it is still there is another thing. */
    row.was_stored = true;
    assert_int_equal(capture_standing(&row), STANDING_SETTLED);
    row.has_profile = true;
    assert_int_equal(capture_standing(&row), STANDING_SETTLED);
}

static void the_clock_says_what_is_late_and_what_is_due(void **state)
{
    enum capture_event event;
    stand(STANDING_WAITING);
    assert_false(capture_clock(&row, row.not_after_ms, false, &event));
    assert_true(capture_clock(&row, row.not_after_ms + 1, true, &event));
    assert_int_equal(event, CAPTURE_ON_LATE);
    stand(STANDING_RUNNING);
    assert_false(capture_clock(&row, row.due_ms, false, &event));
    assert_false(capture_clock(&row, row.due_ms + 1, true, &event));
    assert_true(capture_clock(&row, row.due_ms + 1, false, &event));
    assert_int_equal(event, CAPTURE_ON_DUE);
    for (int s = STANDING_OWED; s < STANDINGS; s++) {
        stand((enum capture_standing)s);
        assert_false(capture_clock(&row, INT64_MAX, false, &event));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(each_event_does_in_each_standing_what_the_table_says),
        TEST(an_end_is_never_taken_back),
        TEST(what_was_never_given_ends_at_once),
        TEST(is_not_given_when_its_time_has_passed),
        TEST(a_given_one_is_due_after_its_length_and_the_slack),
        TEST(one_without_a_length_is_due_when_it_has_not_begun),
        TEST(a_stop_leaves_thirty_seconds_once),
        TEST(phases_do_not_move_the_end_for_ever),
        TEST(the_same_phase_again_moves_nothing),
        TEST(what_is_given_up_is_cancelled_when_that_was_wanted),
        TEST(a_late_end_replaces_what_was_given_up),
        TEST(a_wish_is_repeated_when_the_host_is_back),
        TEST(what_the_host_does_not_know_ends_as_it_must),
        TEST(a_result_that_the_host_has_not_any_more_is_lost_with_a_sentence),
        TEST(what_its_host_did_not_get_waits_again),
        TEST(it_is_known_which_results_are_owed),
        TEST(an_end_without_its_result_needs_none),
        TEST(the_clock_says_what_is_late_and_what_is_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
