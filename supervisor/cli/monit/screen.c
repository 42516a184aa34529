#include "supervisor/cli/monit/screen.h"

#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/base/auto.h"
#include "lib/base/err.h"
#include "lib/base/str.h"
#include "supervisor/cli/monit/monit.h"
#include "supervisor/cli/monit/spark.h"
#include "supervisor/cli/monit/terminfo.h"
#include "supervisor/cli/text.h"

enum {
    ROWS_LEAST = 10,
    COLUMNS_LEAST = 60,
    FIXED_ROWS = 5,     /* title, head, title of the log, a line of it at least, status */
    FIXED_COLUMNS = 45, /* everything but name and bars, with its blanks */
    NAME_LEAST = 12,
    BARS_LEAST = 8,
    TEXT_BYTES = 1024,
    ESCAPE_WAIT_MS = 25,
};

enum pair { PAIR_GOOD = 1, PAIR_BAD, PAIR_WAIT, PAIR_NAME, PAIR_CPU, PAIR_MEMORY };

struct layout {
    int rows, columns;
    int list; /* rows of the list */
    int name; /* columns of a name, and of each row of bars */
    int bars;
};

static SCREEN *terminal;
static bool fine, colors;

/* ---- life -------------------------------------------------------------------------------------- */

static void set_up_colors(void)
{
    static const short foregrounds[] = {COLOR_GREEN, COLOR_RED,  COLOR_YELLOW,
                                        COLOR_CYAN,  COLOR_BLUE, COLOR_MAGENTA};
    const char *no_color = getenv("NO_COLOR");
    colors = has_colors() && !(no_color && *no_color) && start_color() == OK;
    if (!colors)
        return;
    short background = use_default_colors() == OK ? -1 : COLOR_BLACK;
    for (size_t i = 0; i < ARRAY_SIZE(foregrounds); i++)
        (void)init_pair((short)(i + 1), foregrounds[i], background);
}

int screen_open(void)
{
    (void)setlocale(LC_ALL, "");
    fine = str_eq(nl_langinfo(CODESET), "UTF-8");
    /* newterm() forgets memory when it fails. */
    if (!terminfo_known())
        return ERR_UNSUPPORTED;
    terminal = newterm(NULL, stdout, stdin);
    if (!terminal)
        return ERR_UNSUPPORTED;
    (void)cbreak();
    (void)noecho();
    (void)nonl();
    (void)keypad(stdscr, TRUE);
    (void)nodelay(stdscr, TRUE);
    (void)set_escdelay(ESCAPE_WAIT_MS);
    (void)curs_set(0);
    set_up_colors();
    return 0;
}

void screen_close(void)
{
    (void)endwin();
    delscreen(terminal);
    terminal = NULL;
}

int screen_key(void)
{
    static const struct {
        int from, to;
    } keys[] = {{KEY_UP, MONIT_UP},         {KEY_DOWN, MONIT_DOWN},
                {KEY_PPAGE, MONIT_PAGE_UP}, {KEY_NPAGE, MONIT_PAGE_DOWN},
                {KEY_HOME, MONIT_HOME},     {KEY_END, MONIT_END},
                {27, MONIT_ESCAPE}};
    int key = getch();
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (keys[i].from == key)
            return keys[i].to;
    return key > 0 && key < 0x80 ? key : key == ERR ? 0 : MONIT_ESCAPE;
}

/* ---- one text ---------------------------------------------------------------------------------- */

static attr_t paint(enum pair pair)
{
    return colors ? (attr_t)COLOR_PAIR(pair) : A_NORMAL;
}

/* In exactly `width` columns; what does not fit is cut.  `right`: numbers. */
static void put(int y, int x, int width, const char *text, attr_t attributes, bool right)
{
    int columns = (int)text_width(text);
    size_t bytes =
        columns > width ? text_fit(text, (unsigned)(width > 0 ? width : 0)) : strlen(text);
    if (width <= 0)
        return;
    (void)attrset(attributes);
    (void)mvhline(y, x, ' ', width);
    (void)mvaddnstr(y, right && columns < width ? x + width - columns : x, text, (int)bytes);
    (void)attrset(A_NORMAL);
}

static void put_number(int y, int x, int width, int64_t value, attr_t attributes)
{
    char text[TEXT_SHORT];
    (void)snprintf(text, sizeof text, "%lld", (long long)value);
    put(y, x, width, text, attributes, true);
}

static attr_t paint_status(const char *status)
{
    if (str_eq(status, "online"))
        return paint(PAIR_GOOD);
    if (str_eq(status, "errored"))
        return paint(PAIR_BAD) | A_BOLD;
    return str_eq(status, "stopped") ? A_DIM : paint(PAIR_WAIT);
}

/* ---- the list ---------------------------------------------------------------------------------- */

static struct layout lay_out(const struct monit *m)
{
    struct layout l = {.rows = LINES, .columns = COLS};
    int half = (l.rows - FIXED_ROWS + 1) / 2, count = (int)m->feed.count;
    l.list = count < half ? (count > 1 ? count : 1) : half;
    int left = l.columns - FIXED_COLUMNS;
    l.bars = (left - NAME_LEAST) / 3;
    l.bars = l.bars < BARS_LEAST ? BARS_LEAST : l.bars > SPARK_MAX ? SPARK_MAX : l.bars;
    if (left - 2 * l.bars < NAME_LEAST)
        l.bars = left > NAME_LEAST ? (left - NAME_LEAST) / 2 : 0;
    l.name = left - 2 * l.bars;
    return l;
}

static void put_bars(int y, int x, int width, const double *values, bool memory, attr_t attributes)
{
    char text[SPARK_BYTES];
    double low, high;
    const double *from = values + SPARK_MAX - width;
    if (width <= 0)
        return;
    if (memory)
        spark_memory_scale(from, (size_t)width, &low, &high);
    else
        spark_cpu_scale(from, (size_t)width, &low, &high);
    put(y, x, width, spark_draw(from, (size_t)width, low, high, fine, text), attributes, false);
}

static void draw_head(const struct layout *l)
{
    int x = 0;
    const struct {
        const char *title;
        int width;
        bool right;
    } columns[] = {{"id", 4, true},      {"name", l->name, false}, {"status", 8, false},
                   {"cpu", 6, true},     {"", l->bars, false},     {"mem", 6, true},
                   {"", l->bars, false}, {"restarts", 8, true},    {"up", 5, true}};
    (void)mvhline(1, 0, ' ', l->columns);
    for (size_t i = 0; i < ARRAY_SIZE(columns); i++) {
        put(1, x, columns[i].width, columns[i].title, A_BOLD, columns[i].right);
        x += columns[i].width + 1;
    }
}

static void draw_row(const struct layout *l, int y, const struct feed_row *row, bool chosen)
{
    char text[TEXT_SHORT];
    attr_t all = chosen ? A_REVERSE : A_NORMAL;
    bool runs = row->pid > 0;
    int x = 0;
    (void)attrset(all);
    (void)mvhline(y, 0, ' ', l->columns);
    put_number(y, x, 4, row->pm_id, all);
    x += 5;
    put(y, x, l->name, row->label, all | (chosen ? A_NORMAL : paint(PAIR_NAME)), false);
    x += l->name + 1;
    put(y, x, 8, row->status, all | (chosen ? A_NORMAL : paint_status(row->status)), false);
    x += 9;
    put(y, x, 6, runs ? text_percent(row->cpu, text) : "-", all, true);
    x += 7;
    put_bars(y, x, l->bars, row->cpus, false, all | (chosen ? A_NORMAL : paint(PAIR_CPU)));
    x += l->bars + 1;
    put(y, x, 6, runs ? text_bytes(row->memory, text) : "-", all, true);
    x += 7;
    put_bars(y, x, l->bars, row->memories, true, all | (chosen ? A_NORMAL : paint(PAIR_MEMORY)));
    x += l->bars + 1;
    put_number(y, x, 8, row->restarts, all);
    x += 9;
    put(y, x, 5, runs ? text_age(row->uptime_ms, text) : "-", all, true);
}

static void draw_list(struct monit *m, const struct layout *l)
{
    size_t height = (size_t)l->list;
    m->list_height = height;
    if (m->at < m->top)
        m->top = m->at;
    if (m->at >= m->top + height)
        m->top = m->at - height + 1;
    if (m->top + height > m->feed.count)
        m->top = m->feed.count > height ? m->feed.count - height : 0;
    for (size_t i = 0; i < height && m->top + i < m->feed.count; i++)
        draw_row(l, 2 + (int)i, &m->feed.rows[m->top + i], m->top + i == m->at);
    if (m->feed.count == 0)
        put(2, 1, l->columns - 1, m->feed.error ? "" : "There are no apps.", A_NORMAL, false);
}

/* ---- the other lines --------------------------------------------------------------------------- */

static void draw_title(const struct monit *m, const struct layout *l)
{
    char text[TEXT_BYTES], memory[TEXT_SHORT], cpu[TEXT_SHORT], clock[TEXT_SHORT];
    size_t online = 0;
    double percent = 0;
    int64_t bytes = 0;
    for (size_t i = 0; i < m->feed.count; i++) {
        const struct feed_row *row = &m->feed.rows[i];
        online += str_eq(row->status, "online");
        percent += row->pid > 0 ? row->cpu : 0;
        bytes += row->tree_memory;
    }
    (void)snprintf(text, sizeof text, " proctor monit   %zu of %zu online   cpu %s   mem %s",
                   online, m->feed.count, text_percent(percent, cpu), text_bytes(bytes, memory));
    put(0, 0, l->columns, text, A_REVERSE | A_BOLD, false);
    (void)text_clock((int64_t)time(NULL) * 1000, false, clock);
    if (l->columns > 70)
        put(0, l->columns - 9, 9, clock + 11, A_REVERSE | A_BOLD, false);
}

static void draw_log(const struct monit *m, const struct layout *l)
{
    char text[TEXT_BYTES], memory[TEXT_SHORT], cpu[TEXT_SHORT], most[TEXT_SHORT];
    const struct feed_row *row = monit_row(m);
    int title = 2 + l->list, height = l->rows - 2 - title;
    (void)snprintf(text, sizeof text, " %s", row ? row->label : "");
    if (row && row->pid > 0)
        (void)snprintf(
            text, sizeof text,
            " %s   pid %lld   %lld fds   %lld threads   %lld processes with %s   most %s, %s",
            row->label, (long long)row->pid, (long long)row->fds, (long long)row->threads,
            (long long)row->processes, text_bytes(row->tree_memory, memory),
            text_percent(row->cpu_most, cpu), text_bytes((int64_t)row->memory_most, most));
    put(title, 0, l->columns, text, A_REVERSE, false);
    for (int i = 0; i < height; i++) {
        const struct log_pane_line *line = log_pane_line(&m->log, (size_t)(height - 1 - i));
        put(title + 1 + i, 0, l->columns, line ? line->text : "",
            line && line->is_err ? paint(PAIR_BAD) : A_NORMAL, false);
    }
}

static void draw_status(const struct monit *m, const struct layout *l)
{
    char text[TEXT_BYTES];
    attr_t attributes = A_NORMAL;
    const char *shown = "up/down: choose   r: restart   l: reload   s: stop   p: profile   q: quit";
    if (m->feed.error) {
        (void)snprintf(text, sizeof text, "the supervisor does not answer (%s); trying again",
                       err_str(m->feed.error));
        shown = text;
        attributes = paint(PAIR_BAD) | A_BOLD;
    } else if (m->note[0] || m->job.text[0]) {
        shown = m->note[0] ? m->note : m->job.text;
        attributes = m->note[0] || m->job.pid ? A_BOLD : m->job.failed ? paint(PAIR_BAD) : A_NORMAL;
    }
    put(l->rows - 1, 0, l->columns - 1, shown, attributes, false);
}

void screen_draw(struct monit *m)
{
    struct layout l = lay_out(m);
    (void)erase();
    if (l.rows < ROWS_LEAST || l.columns < COLUMNS_LEAST) {
        put(0, 0, l.columns, "The terminal is too small.", A_NORMAL, false);
    } else {
        draw_title(m, &l);
        draw_head(&l);
        draw_list(m, &l);
        draw_log(m, &l);
        draw_status(m, &l);
    }
    (void)refresh();
}
