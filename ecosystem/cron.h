/* cron.h -- times that come again: "0 3 * * *", and the next of them.
 *
 * Five fields (minute, hour, day of the month, month, day of the week) or six (seconds first).  In a
 * field: a number, a range 1-5, a list 1,15, a step such as "every tenth", all; months and days of the week by
 * their English names too (JAN, MON); 0 and 7 are Sunday; ? is all.  L is the last day of the month,
 * MON#2 its second Monday, MONL its last.  @yearly @annually @monthly @weekly @daily @midnight
 * @hourly stand for the usual ones.
 *
 * When both days are restricted, one of them must match, as with crontab(5); with a + before the day
 * of the week, both.
 *
 * Where clocks change: a time of hours and minutes that the clocks leave out comes right when they
 * have been put forward, and one that they show twice comes once, the first time.  With ranges,
 * steps or all in minutes or hours, it comes whenever the clocks show it.  (As croner 11 does, which
 * takes a list for a range there.) */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct zone;

struct cron {
    uint64_t seconds, minutes; /* bit n: at n */
    uint32_t hours, days, months;
    uint8_t weekdays;
    uint8_t nth[6];            /* bit w: the weekday w number 1..5 of the month; [0]: the last */
    bool last_day;             /* L */
    bool any_day, any_weekday; /* the field was * */
    bool both_days;            /* + */
    bool fixed;                /* hour, minute and second without *, - and / */
};

enum { CRON_ERROR_TEXT = 160 };

/* Returns 0, or ERR_SYNTAX with a sentence, also for what never comes ("0 0 31 2 *"). */
int cron_parse(const char *text, struct cron *ret_cron, char reterr[static CRON_ERROR_TEXT]);

/* The first time after `after_s`; both are seconds since 1970.  False when there is none. */
bool cron_next(const struct cron *c, const struct zone *z, int64_t after_s, int64_t *ret_s);

/* Are both days restricted, and one of them enough?  PM2 asks for both. */
bool cron_either_day(const struct cron *c);
