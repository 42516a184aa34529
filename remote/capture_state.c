#include "remote/capture_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/auto.h"
#include "lib/base/buf.h"
#include "lib/base/err.h"
#include "lib/base/json.h"
#include "lib/base/mem.h"
#include "lib/base/str.h"

/* ---- the table ------------------------------------------------------------------------------- */

enum action {
    DO_NOTHING,
    DO_REFUSE,    /* it has ended */
    DO_ASK,       /* ask the host for its record */
    DO_GIVE,      /* note that the host has it, then send it */
    DO_TAKE_BACK, /* the host has not got it after all */
    DO_RESUME,    /* the host is back: repeat what it may have missed */
    DO_ASK_STOP,  /* note the wish, then send it */
    DO_ASK_CANCEL,
    DO_CANCEL, /* it never began: cancelled */
    DO_EXPIRE,
    DO_GIVE_UP,     /* end it here, until the host knows better */
    DO_NOTE,        /* keep the record */
    DO_END,         /* as the host says */
    DO_ACK,         /* it is told again */
    DO_DENY_EXISTS, /* the host knows nothing of it: end it */
    DO_FINAL,       /* nobody will know better */
    DO_STORED,
    DO_LOST,
    DO_LOST_THERE, /* the host does not have the result any more */
    DO_FAIL,       /* end it, for a reason that stays */
    ACTIONS
};

typedef unsigned (*action_fn)(struct capture_row *row, const struct capture_happening *h);

static unsigned nothing(struct capture_row *row, const struct capture_happening *h);
static unsigned refuse(struct capture_row *row, const struct capture_happening *h);
static unsigned ask(struct capture_row *row, const struct capture_happening *h);
static unsigned give(struct capture_row *row, const struct capture_happening *h);
static unsigned take_back(struct capture_row *row, const struct capture_happening *h);
static unsigned resume(struct capture_row *row, const struct capture_happening *h);
static unsigned ask_stop(struct capture_row *row, const struct capture_happening *h);
static unsigned ask_cancel(struct capture_row *row, const struct capture_happening *h);
static unsigned cancel(struct capture_row *row, const struct capture_happening *h);
static unsigned expire(struct capture_row *row, const struct capture_happening *h);
static unsigned give_up(struct capture_row *row, const struct capture_happening *h);
static unsigned note(struct capture_row *row, const struct capture_happening *h);
static unsigned end(struct capture_row *row, const struct capture_happening *h);
static unsigned ack(struct capture_row *row, const struct capture_happening *h);
static unsigned deny_exists(struct capture_row *row, const struct capture_happening *h);
static unsigned final(struct capture_row *row, const struct capture_happening *h);
static unsigned stored(struct capture_row *row, const struct capture_happening *h);
static unsigned lost(struct capture_row *row, const struct capture_happening *h);
static unsigned lost_there(struct capture_row *row, const struct capture_happening *h);
static unsigned fail(struct capture_row *row, const struct capture_happening *h);

// clang-format off
static const action_fn actions[ACTIONS] = {
    [DO_NOTHING] = nothing,
    [DO_REFUSE] = refuse,
    [DO_ASK] = ask,
    [DO_GIVE] = give,
    [DO_TAKE_BACK] = take_back,
    [DO_RESUME] = resume,
    [DO_ASK_STOP] = ask_stop,
    [DO_ASK_CANCEL] = ask_cancel,
    [DO_CANCEL] = cancel,
    [DO_EXPIRE] = expire,
    [DO_GIVE_UP] = give_up,
    [DO_NOTE] = note,
    [DO_END] = end,
    [DO_ACK] = ack,
    [DO_DENY_EXISTS] = deny_exists,
    [DO_FINAL] = final,
    [DO_STORED] = stored,
    [DO_LOST] = lost,
    [DO_LOST_THERE] = lost_there,
    [DO_FAIL] = fail,
};

/* What is not listed does nothing. */
static const enum action table[][CAPTURE_EVENT_COUNT] = {
    [STANDING_WAITING] = {
        [CAPTURE_ON_HOST] = DO_GIVE,
        [CAPTURE_ON_STOP] = DO_CANCEL,
        [CAPTURE_ON_CANCEL] = DO_CANCEL,
        /* It was given before the store that we run on was saved. */
        [CAPTURE_ON_QUEUED] = DO_NOTE,
        [CAPTURE_ON_RUNNING] = DO_NOTE,
        [CAPTURE_ON_END] = DO_END,
        [CAPTURE_ON_RESULT] = DO_END,
        [CAPTURE_ON_LATE] = DO_EXPIRE,
        [CAPTURE_ON_REVOKED] = DO_FAIL,
        [CAPTURE_ON_NO_CAPTURES] = DO_FAIL,
    },
    [STANDING_GIVEN] = {
        [CAPTURE_ON_HOST] = DO_RESUME,
        [CAPTURE_ON_STOP] = DO_ASK_STOP,
        [CAPTURE_ON_CANCEL] = DO_ASK_CANCEL,
        [CAPTURE_ON_QUEUED] = DO_NOTE,
        [CAPTURE_ON_RUNNING] = DO_NOTE,
        [CAPTURE_ON_END] = DO_END,
        [CAPTURE_ON_RESULT] = DO_END,
        [CAPTURE_ON_UNKNOWN] = DO_DENY_EXISTS,
        [CAPTURE_ON_DUE] = DO_GIVE_UP,
        [CAPTURE_ON_MISSED] = DO_TAKE_BACK,
        [CAPTURE_ON_REVOKED] = DO_FAIL,
    },
    [STANDING_RUNNING] = {
        [CAPTURE_ON_HOST] = DO_RESUME,
        [CAPTURE_ON_STOP] = DO_ASK_STOP,
        [CAPTURE_ON_CANCEL] = DO_ASK_CANCEL,
        [CAPTURE_ON_RUNNING] = DO_NOTE,
        [CAPTURE_ON_END] = DO_END,
        [CAPTURE_ON_RESULT] = DO_END,
        [CAPTURE_ON_UNKNOWN] = DO_DENY_EXISTS,
        [CAPTURE_ON_DUE] = DO_GIVE_UP,
        [CAPTURE_ON_REVOKED] = DO_FAIL,
    },
    [STANDING_OWED] = {
        /* It tells it again, or knows nothing of it any more. */
        [CAPTURE_ON_HOST] = DO_ASK,
        [CAPTURE_ON_STOP] = DO_REFUSE,
        [CAPTURE_ON_CANCEL] = DO_REFUSE,
        /* The result was removed there before it came. */
        [CAPTURE_ON_END] = DO_END,
        [CAPTURE_ON_UNKNOWN] = DO_LOST_THERE,
        [CAPTURE_ON_STORED] = DO_STORED,
        [CAPTURE_ON_LOST] = DO_LOST,
        [CAPTURE_ON_REVOKED] = DO_FAIL,
        [CAPTURE_ON_NO_RESULTS] = DO_LOST,
    },
    [STANDING_GIVEN_UP] = {
        [CAPTURE_ON_HOST] = DO_RESUME,
        [CAPTURE_ON_STOP] = DO_REFUSE,
        [CAPTURE_ON_CANCEL] = DO_REFUSE,
        [CAPTURE_ON_END] = DO_END,
        [CAPTURE_ON_RESULT] = DO_END,
        [CAPTURE_ON_UNKNOWN] = DO_FINAL,
        [CAPTURE_ON_REVOKED] = DO_FINAL,
    },
    [STANDING_SETTLED] = {
        [CAPTURE_ON_STOP] = DO_REFUSE,
        [CAPTURE_ON_CANCEL] = DO_REFUSE,
        [CAPTURE_ON_END] = DO_ACK,
        [CAPTURE_ON_RESULT] = DO_ACK,
        [CAPTURE_ON_STORED] = DO_ACK,
        [CAPTURE_ON_LOST] = DO_ACK,
    },
};

static const char *const standing_names[] = {
#define X(name, word) [name] = word,
    CAPTURE_STANDINGS(X)
#undef X
};

static const char *const event_names[] = {
#define X(name, word) [name] = word,
    CAPTURE_EVENTS(X)
#undef X
};
// clang-format on

const char *capture_standing_name(enum capture_standing standing)
{
    return standing_names[standing];
}

const char *capture_event_name(enum capture_event event)
{
    return event_names[event];
}

unsigned capture_happen(struct capture_row *row, const struct capture_happening *h)
{
    unsigned bits = actions[table[capture_standing(row)][h->event]](row, h);
    row->result_owed = capture_standing(row) == STANDING_OWED;
    return bits;
}

/* ---- what a row says ------------------------------------------------------------------------- */

static enum capture_state state_of(const struct capture_row *row)
{
    enum capture_state state = CAPTURE_FAILED;
    (void)capture_state_parse(row->state, &state);
    return state;
}

static void set_state(struct capture_row *row, enum capture_state state)
{
    (void)snprintf(row->state, sizeof row->state, "%s", capture_state_name(state));
}

enum capture_standing capture_standing(const struct capture_row *row)
{
    enum capture_state state = state_of(row);
    if (state == CAPTURE_RUNNING)
        return STANDING_RUNNING;
    if (state == CAPTURE_QUEUED)
        return row->sent_ms || row->record ? STANDING_GIVEN : STANDING_WAITING;
    if (row->given_up)
        return STANDING_GIVEN_UP;
    /* What came once is not owed, also when it was removed since. */
    if (row->was_stored)
        return STANDING_SETTLED;
    AUTOJSON json_t *facts = capture_facts(row);
    return capture_record_has_result(state, facts) ? STANDING_OWED : STANDING_SETTLED;
}

enum capture_event capture_event_of(const struct capture_record *record)
{
    if (record->state == CAPTURE_QUEUED)
        return CAPTURE_ON_QUEUED;
    if (record->state == CAPTURE_RUNNING)
        return CAPTURE_ON_RUNNING;
    return capture_record_has_result(record->state, record->facts) ? CAPTURE_ON_RESULT
                                                                   : CAPTURE_ON_END;
}

bool capture_clock(const struct capture_row *row, int64_t now_ms, bool grace,
                   enum capture_event *ret_event)
{
    if (row->ended_ms)
        return false;
    enum capture_standing standing = capture_standing(row);
    if (standing == STANDING_WAITING && now_ms > row->not_after_ms) {
        *ret_event = CAPTURE_ON_LATE;
        return true;
    }
    bool open = standing == STANDING_GIVEN || standing == STANDING_RUNNING;
    if (!open || grace || now_ms <= row->due_ms)
        return false;
    *ret_event = CAPTURE_ON_DUE;
    return true;
}

/* ---- records and verdicts -------------------------------------------------------------------- */

static void keep_facts(struct capture_row *row, const json_t *facts)
{
    AUTOBUF struct buf text = BUF_INIT(LIMIT_CAPTURE_RECORD);
    /* A record of the table's fields is far below the limit. */
    if (json_to_buf(facts, &text) < 0)
        return;
    free(row->record);
    row->record = buf_take(&text);
}

/* We say how it ended; what the host has told of it stays. */
static unsigned verdict(struct capture_row *row, enum capture_state state, const char *code,
                        const char *text, int64_t now_ms)
{
    AUTOJSON json_t *facts = capture_facts(row);
    if (!facts)
        facts = json_object();
    (void)json_object_del(facts, "error");
    json_set_string(facts, "state", capture_state_name(state));
    if (code) {
        json_t *error = json_object();
        json_set_string(error, "name", code);
        json_set_string(error, "message", text ? text : err_str(err_from_name(code)));
        (void)json_object_set_new(facts, "error", error);
    }
    keep_facts(row, facts);
    set_state(row, state);
    row->ended_ms = now_ms;
    row->given_up = false;
    return CAPTURE_CHANGED;
}

/* ---- when it must have ended ----------------------------------------------------------------- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t length_of(const struct capture_row *row)
{
    return row->duration_ms ? row->duration_ms : LIMIT_CAPTURE_LONGEST_MS;
}

static bool end_wanted(const struct capture_row *row)
{
    return row->stop_wanted || row->cancel_wanted;
}

/* When it was given: a host that takes it begins at once and says so.  One that must be stopped
 * by hand and of which nothing is heard has not begun when it may not any more. */
static int64_t due_when_given(const struct capture_row *row, int64_t now_ms)
{
    if (row->duration_ms)
        return now_ms + row->duration_ms + CAPTURE_SLACK_MS;
    return later(now_ms, row->not_after_ms) + CAPTURE_SLACK_MS;
}

/* What has begun in `facts` and had not in what we know? */
static bool new_phase(const struct capture_row *row, const json_t *facts)
{
    AUTOJSON json_t *known = capture_facts(row);
    const char *phase = json_get_string(facts, "phase", "");
    return *phase && !str_eq(phase, json_get_string(known, "phase", ""));
}

static bool before_its_end(const char *phase)
{
    return str_eq(phase, "open") || str_eq(phase, "start") || str_eq(phase, "running");
}

/* A phase that begins moves what follows it; but a host cannot move it for ever. */
static void move_due(struct capture_row *row, const struct capture_happening *h, bool begins)
{
    const json_t *facts = h->record->facts;
    const char *phase = json_get_string(facts, "phase", "open");
    if (!begins && !new_phase(row, facts))
        return;
    int64_t due_ms = h->now_ms + CAPTURE_SLACK_MS;
    if (before_its_end(phase) && end_wanted(row))
        return;
    if (before_its_end(phase))
        due_ms += length_of(row);
    int64_t most_ms = later(row->sent_ms, row->not_after_ms) + length_of(row) + CAPTURE_SLACK_MS +
                      CAPTURE_PHASES_MS;
    row->due_ms = begins && !end_wanted(row) ? due_ms : later(row->due_ms, due_ms);
    row->due_ms = earlier(row->due_ms, most_ms);
}

/* ---- actions --------------------------------------------------------------------------------- */

static unsigned nothing(struct capture_row *row, const struct capture_happening *h)
{
    return 0;
}

static unsigned refuse(struct capture_row *row, const struct capture_happening *h)
{
    return CAPTURE_REFUSED;
}

static unsigned ask(struct capture_row *row, const struct capture_happening *h)
{
    return CAPTURE_GIVE_GET;
}

static unsigned give(struct capture_row *row, const struct capture_happening *h)
{
    if (h->now_ms > row->not_after_ms)
        return expire(row, h);
    row->sent_ms = h->now_ms;
    row->due_ms = due_when_given(row, h->now_ms);
    return CAPTURE_CHANGED | CAPTURE_GIVE_START;
}

static unsigned take_back(struct capture_row *row, const struct capture_happening *h)
{
    if (row->record)
        return 0;
    row->sent_ms = row->due_ms = 0;
    return end_wanted(row) ? verdict(row, CAPTURE_CANCELLED, NULL, NULL, h->now_ms)
                           : CAPTURE_CHANGED;
}

static unsigned resume(struct capture_row *row, const struct capture_happening *h)
{
    /* What we gave up may be over there, and then a stop says nothing about it. */
    unsigned ask = row->given_up ? CAPTURE_GIVE_GET : 0;
    if (row->cancel_wanted)
        return CAPTURE_GIVE_CANCEL | ask;
    if (row->stop_wanted)
        return CAPTURE_GIVE_STOP | ask;
    bool lost = !row->record && !row->given_up;
    return lost && h->now_ms <= row->not_after_ms ? CAPTURE_GIVE_START : CAPTURE_GIVE_GET;
}

static void want_end(struct capture_row *row, bool *wanted, int64_t now_ms)
{
    if (!*wanted)
        row->due_ms = earlier(row->due_ms, now_ms + CAPTURE_SLACK_MS);
    *wanted = true;
}

static unsigned ask_stop(struct capture_row *row, const struct capture_happening *h)
{
    want_end(row, &row->stop_wanted, h->now_ms);
    return CAPTURE_CHANGED | CAPTURE_GIVE_STOP;
}

static unsigned ask_cancel(struct capture_row *row, const struct capture_happening *h)
{
    want_end(row, &row->cancel_wanted, h->now_ms);
    return CAPTURE_CHANGED | CAPTURE_GIVE_CANCEL;
}

static unsigned cancel(struct capture_row *row, const struct capture_happening *h)
{
    row->stop_wanted |= h->event == CAPTURE_ON_STOP;
    row->cancel_wanted |= h->event == CAPTURE_ON_CANCEL;
    return verdict(row, CAPTURE_CANCELLED, NULL, NULL, h->now_ms);
}

static unsigned expire(struct capture_row *row, const struct capture_happening *h)
{
    char text[LIMIT_NAME + 80];
    (void)snprintf(text, sizeof text, "the host %s did not take it before its time had passed",
                   row->host_name);
    return verdict(row, CAPTURE_EXPIRED, err_name(ERR_EXPIRED), text, h->now_ms);
}

static unsigned give_up(struct capture_row *row, const struct capture_happening *h)
{
    unsigned bits = row->cancel_wanted ? verdict(row, CAPTURE_CANCELLED, NULL, NULL, h->now_ms)
                                       : verdict(row, CAPTURE_FAILED, h->code, h->text, h->now_ms);
    row->given_up = true;
    return bits;
}

static unsigned note(struct capture_row *row, const struct capture_happening *h)
{
    bool begins = h->event == CAPTURE_ON_RUNNING && state_of(row) != CAPTURE_RUNNING;
    if (row->sent_ms == 0) {
        row->sent_ms = h->now_ms;
        row->due_ms = due_when_given(row, h->now_ms);
    }
    move_due(row, h, begins);
    keep_facts(row, h->record->facts);
    set_state(row, h->record->state);
    return CAPTURE_CHANGED;
}

static unsigned end(struct capture_row *row, const struct capture_happening *h)
{
    if (row->sent_ms == 0)
        row->sent_ms = h->now_ms;
    keep_facts(row, h->record->facts);
    set_state(row, h->record->state);
    row->ended_ms = h->now_ms;
    row->given_up = false;
    bool settled = capture_standing(row) == STANDING_SETTLED;
    return CAPTURE_CHANGED | (settled ? CAPTURE_GIVE_ACK : 0);
}

static unsigned ack(struct capture_row *row, const struct capture_happening *h)
{
    return CAPTURE_GIVE_ACK;
}

static unsigned deny_exists(struct capture_row *row, const struct capture_happening *h)
{
    /* A wish that came after the end: the record tells it. */
    if (str_eq(h->code, err_name(ERR_NOT_RUNNING)))
        return 0;
    bool never_began = !row->record;
    if (row->cancel_wanted || (row->stop_wanted && never_began))
        return verdict(row, CAPTURE_CANCELLED, NULL, NULL, h->now_ms);
    if (str_eq(h->code, err_name(ERR_EXPIRED)))
        return verdict(row, CAPTURE_EXPIRED, h->code, h->text, h->now_ms);
    if (never_began && str_eq(h->code, err_name(ERR_NOT_FOUND)) && h->now_ms > row->not_after_ms)
        return expire(row, h);
    return verdict(row, CAPTURE_FAILED, h->code, h->text, h->now_ms);
}

static unsigned final(struct capture_row *row, const struct capture_happening *h)
{
    if (str_eq(h->code, err_name(ERR_NOT_RUNNING)))
        return 0;
    row->given_up = false;
    return CAPTURE_CHANGED;
}

static unsigned stored(struct capture_row *row, const struct capture_happening *h)
{
    row->was_stored = row->has_profile = true;
    return CAPTURE_CHANGED | CAPTURE_GIVE_ACK;
}

static unsigned lost(struct capture_row *row, const struct capture_happening *h)
{
    return verdict(row, CAPTURE_FAILED, h->code, h->text, h->now_ms) | CAPTURE_GIVE_ACK;
}

static unsigned lost_there(struct capture_row *row, const struct capture_happening *h)
{
    char text[RECORD_MESSAGE_MAX + LIMIT_NAME + 80];
    /* A wish that came after the end: the result is there all the same. */
    if (str_eq(h->code, err_name(ERR_NOT_RUNNING)))
        return 0;
    (void)snprintf(text, sizeof text, "the host %s does not have the result any more: %s",
                   row->host_name, h->text ? h->text : "");
    const struct capture_happening gone = {.now_ms = h->now_ms, .code = h->code, .text = text};
    return lost(row, &gone);
}

static unsigned fail(struct capture_row *row, const struct capture_happening *h)
{
    return row->cancel_wanted ? verdict(row, CAPTURE_CANCELLED, NULL, NULL, h->now_ms)
                              : verdict(row, CAPTURE_FAILED, h->code, h->text, h->now_ms);
}
