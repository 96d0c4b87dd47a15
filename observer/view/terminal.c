/* terminal.c - a run on the screen: stage, bar, curves, evaluations, workers, what went wrong. */
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <ncurses.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "observer/view/screen.h"
#include "observer/view/view.h"

#define REDRAW 0.2 /* seconds */

enum {
    HEAD = 3,
    CHART_WIDTH = 38,
    CHART_HEIGHT = 9,
    LIST_HEIGHT = 7,
    LEAST_ROWS = 8,
    LEAST_COLUMNS = 30
};

struct terminal {
    SCREEN *screen; /* owned */
    int shown;      /* run */
    int back;       /* how many stages before the present one is shown */
    bool log;
    double drawn;
};

static void draw_state(const struct run *r)
{
    static const enum paint paints[] = {PAINT_WARN, PAINT_GOOD, PAINT_BAD, PAINT_GOOD, PAINT_WARN};
    const char *name = run_state_name(r);

    screen_paint(r->state == RUN_ENDED && !r->well ? PAINT_BAD : paints[r->state]);
    screen_text(0, COLS - (int)strlen(name) - 1, COLS, "%s", name);
    screen_paint(PAINT_PLAIN);
}

static void draw_title(const struct view *v, const struct terminal *t, const struct run *r)
{
    char label[NAME + KEY];
    int x;

    attron(A_BOLD);
    run_label(v->runs, r, label, sizeof label);
    x = screen_text(0, 0, COLS - 10, "%s", label);
    screen_paint(PAINT_FAINT);
    if (strcmp(r->name, r->source) != 0)
        x += screen_text(0, x, COLS - 10 - x, "  %s", r->source);
    if (v->runs->n > 1)
        screen_text(0, x, COLS - 10 - x, "  run %d of %d", t->shown + 1, v->runs->n);
    draw_state(r);
}

static void draw_stage(const struct run *r, int stage)
{
    const struct stage_seen *s = &r->stages[stage];
    double done = stage == r->stage ? stage_done(r) : 1;
    char left[32], tail[64];
    int x = screen_text(1, 0, COLS / 2, "%s (%s)  %d/%d  round %" PRIu64 "/%" PRIu64 " ", s->name,
                        s->method, stage + 1, r->n_stages, s->round, s->rounds);

    text_duration(left, sizeof left, run_left(r, clock_since_1970()));
    snprintf(tail, sizeof tail, " %3.0f %%  %s left", 100 * done, left);
    if (stage != r->stage || r->state == RUN_ENDED || r->state == RUN_WHOLE)
        snprintf(tail, sizeof tail, " %3.0f %%", 100 * done);
    screen_bar(1, x, COLS - x - (int)strlen(tail), done);
    screen_text(1, COLS - (int)strlen(tail), COLS, "%s", tail);
}

/* Numbers of the last reported round, as many as fit. */
static void draw_figures(const struct run *r, int stage)
{
    static const struct {
        const char *field, *name, *format;
        double scale;
    } figures[] = {
        {"loss", "loss", "%.4f", 1},
        {"accuracy", "accuracy", "%.1f %%", 100},
        {"tasks_per_second", "", "%.0f tasks/s", 1},
        {"gflops", "", "%.1f GFLOP/s", 1},
        {"idle", "idle", "%.0f %%", 100},
        {"communication", "communication", "%.0f %%", 100},
        {"gradient_norm", "gradient", "%.3g", 1},
        {"rate", "rate", "%.3g", 1},
    };
    int x = 0;

    for (size_t i = 0; i < sizeof figures / sizeof *figures; i++) {
        const struct series *s = model_series(r, stage, "round", "", -1, figures[i].field);
        double value = series_last(s);
        char text[48];

        if (!series_tells(s))
            continue;
        snprintf(text, sizeof text, figures[i].format, value * figures[i].scale);
        x += screen_text(2, x, COLS - x, "%s%s%s  ", figures[i].name, *figures[i].name ? " " : "",
                         text);
    }
    screen_paint(r->failed ? PAINT_BAD : PAINT_PLAIN);
    if (r->failed)
        screen_text(2, x, COLS - x, "%" PRIu64 " tasks set aside", r->failed);
    screen_paint(PAINT_PLAIN);
}

static int draw_charts(const struct terminal *t, const struct run *r, struct area a)
{
    int n;
    struct chart *charts = charts_of(r, r->stage - t->back, &n);
    int columns = a.w / CHART_WIDTH > 1 ? a.w / CHART_WIDTH : 1, rows, h;

    if (columns > n)
        columns = n > 0 ? n : 1;
    rows = (n + columns - 1) / columns;
    if (rows > a.h / CHART_HEIGHT)
        rows = a.h / CHART_HEIGHT > 0 ? a.h / CHART_HEIGHT : 1;
    h = n == 0 ? 0 : a.h / rows < 20 ? a.h / rows : 20;
    for (int i = 0; i < n && i < rows * columns; i++) {
        int w = a.w / columns;

        screen_chart((struct area){a.y + i / columns * h, a.x + i % columns * w, h, w - 1},
                     &charts[i], t->log);
    }
    free(charts);
    return rows * h;
}

/* "-", equally wide, if one episode has no interval. */
static void interval_text(double ci95, int width, int digits, char *text, size_t n)
{
    if (isfinite(ci95))
        snprintf(text, n, "%*.*f", width, digits, ci95);
    else
        snprintf(text, n, "%*s", width, "-");
}

static void draw_evaluation(const struct run *r, const struct evaluated *v, int y, struct area a)
{
    char figure[64], how[32], spread[24];
    int wide = a.w >= 60 ? 14 : 6;

    snprintf(how, sizeof how, "step %d", v->step);
    if (isfinite(v->accuracy)) {
        interval_text(100 * v->accuracy_ci95, 5, 2, spread, sizeof spread);
        snprintf(figure, sizeof figure, "%6.2f ± %s %%", 100 * v->accuracy, spread);
    } else {
        interval_text(v->loss_ci95, 6, 4, spread, sizeof spread);
        snprintf(figure, sizeof figure, "loss %.4f ± %s", v->loss, spread);
    }
    screen_text(y, a.x, a.w, "%-*.*s %-*.*s %-6s %s %7" PRIu64, wide, wide,
                r->stages[v->stage].name, wide + 2, wide + 2, v->data, v->samples ? "whole" : how,
                figure, v->round);
}

/* The newest last; only those after the last inner step if not all fit. */
static void draw_evaluations(const struct run *r, struct area a)
{
    bool all = r->n_evaluations <= a.h - 1;
    int y = a.y + 1, first = 0, n = 0;

    screen_rule(a, "evaluations");
    for (int pass = 0; pass < 2; pass++) {
        for (int i = 0; i < r->n_evaluations; i++) {
            const struct evaluated *v = &r->evaluations[i];

            if (!all && model_series(r, v->stage, "evaluation", v->data, v->step + 1, "loss"))
                continue;
            if (pass == 0)
                n++;
            else if (first-- <= 0 && y < a.y + a.h)
                draw_evaluation(r, v, y++, a);
        }
        first = n > a.h - 1 ? n - (a.h - 1) : 0;
    }
}

static void draw_worker(const struct worker_seen *w, int y, struct area a)
{
    char speed[24] = "", busy[24] = "", memory[24] = "";

    if (isfinite(w->tasks_per_second))
        snprintf(speed, sizeof speed, "%.1f/s", w->tasks_per_second);
    if (isfinite(w->busy))
        snprintf(busy, sizeof busy, "%.0f %%", 100 * w->busy);
    if (isfinite(w->memory_mib) && w->memory_mib > 0)
        snprintf(memory, sizeof memory, "%.0f MiB", w->memory_mib);
    screen_paint(w->up ? PAINT_PLAIN : PAINT_BAD);
    screen_text(y, a.x, a.w, "%4" PRId64 " %-9.9s %-8.8s %7s %5s %s", w->rank, w->host, w->state,
                speed, busy, memory);
    screen_paint(PAINT_PLAIN);
}

/* Lost workers first: with many workers, they matter most. */
static void draw_workers(const struct run *r, struct area a)
{
    char title[64];
    int up = 0, y = a.y + 1;

    for (int i = 0; i < r->n_workers; i++)
        up += r->workers[i].up;
    snprintf(title, sizeof title, up < r->n_workers ? "workers: %d, %d gone" : "workers: %d",
             r->n_workers, r->n_workers - up);
    screen_rule(a, title);
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < r->n_workers && y < a.y + a.h; i++)
            if (r->workers[i].up == pass)
                draw_worker(&r->workers[i], y++, a);
}

static void draw_note(const struct run *r, const struct note *n, int y, struct area a)
{
    static const enum paint paints[] = {PAINT_PLAIN, PAINT_WARN, PAINT_BAD};
    static const char *const names[] = {"", "alarm: ", "fault: "};
    char times[32] = "";
    int x;

    if (n->count > 1)
        snprintf(times, sizeof times, " (%" PRIu64 " times)", n->count);
    screen_paint(PAINT_FAINT);
    x = n->stage < 0 || n->stage >= r->n_stages
            ? 0
            : screen_text(y, a.x, a.w, "%s %" PRIu64 "  ", r->stages[n->stage].name, n->round);
    screen_paint(paints[n->level]);
    screen_text(y, a.x + x, a.w - x, "%s%s%s", names[n->level], n->text, times);
    screen_paint(PAINT_PLAIN);
}

static void draw_notes(const struct run *r, struct area a)
{
    uint64_t kept = r->n_notes < NOTES_MAX ? r->n_notes : NOTES_MAX;
    uint64_t rows = a.h > 1 ? (uint64_t)a.h - 1 : 0, shown = kept < rows ? kept : rows;

    screen_rule(a, "alarms, faults, log");
    for (uint64_t i = 0; i < shown; i++)
        draw_note(r, &r->notes[(r->n_notes - shown + i) % NOTES_MAX], a.y + 1 + (int)i, a);
}

static void draw_foot(const struct view *v, const struct terminal *t, const struct run *r)
{
    int x = 0;

    if (r->state == RUN_ENDED)
        x = screen_text(LINES - 1, 0, COLS, "ended: %s  digest %s  ", r->end, r->digest);
    screen_paint(PAINT_FAINT);
    screen_text(LINES - 1, x, COLS - x, "q quit  l %s%s%s", t->log ? "linear" : "log",
                r->n_stages > 1 ? "  arrows stage" : "", v->runs->n > 1 ? "  tab next run" : "");
    screen_paint(PAINT_PLAIN);
}

static void draw_body(const struct terminal *t, const struct run *r)
{
    struct area a = {HEAD, 0, LINES - HEAD - 1, COLS};
    int lists = a.h / 3 > LIST_HEIGHT ? a.h / 3 : a.h / 3 + 1, notes = r->n_notes ? 1 + a.h / 6 : 0;

    if (r->n_notes && (uint64_t)notes > r->n_notes + 1)
        notes = (int)r->n_notes + 1;
    a.h -= lists + notes;
    int used = draw_charts(t, r, a);

    a.y += used;
    a.h = LINES - 1 - notes - a.y;
    draw_evaluations(r, (struct area){a.y, 0, a.h, COLS / 2 - 1});
    draw_workers(r, (struct area){a.y, COLS / 2, a.h, COLS - COLS / 2});
    if (notes)
        draw_notes(r, (struct area){LINES - 1 - notes, 0, notes, COLS});
}

static void draw(const struct view *v, struct terminal *t)
{
    const struct run *r = &v->runs->sources[t->shown].run;

    erase();
    screen_paint(PAINT_PLAIN);
    if (LINES < LEAST_ROWS || COLS < LEAST_COLUMNS) {
        screen_text(0, 0, COLS, "%s: too small", r->name);
        refresh();
        return;
    }
    if (t->back > r->stage)
        t->back = r->stage > 0 ? r->stage : 0;
    draw_title(v, t, r);
    if (r->stage >= 0) {
        draw_stage(r, r->stage - t->back);
        draw_figures(r, r->stage - t->back);
    }
    draw_body(t, r);
    draw_foot(v, t, r);
    refresh();
}

/* 1: quit; 0: something may have changed; -1: no key. */
static int key_take(const struct view *v, struct terminal *t)
{
    const struct run *r = &v->runs->sources[t->shown].run;
    int key = getch();

    if (key == ERR)
        return -1;
    if (key == 'q' || key == 'Q')
        return 1;
    if (key == 'l')
        t->log = !t->log;
    if (key == '\t')
        t->shown = (t->shown + 1) % v->runs->n;
    if (key == KEY_LEFT && t->back < r->stage)
        t->back++;
    if (key == KEY_RIGHT && t->back > 0)
        t->back--;
    return 0;
}

/* True if the terminal is closed or its input has ended: then poll reports input for ever, and
 * reads return nothing. */
static bool input_is_gone(void)
{
    struct pollfd one = {.fd = STDIN_FILENO, .events = POLLIN};
    int n = 0;

    if (poll(&one, 1, 0) != 1)
        return false;
    if (one.revents & (POLLERR | POLLHUP | POLLNVAL))
        return true;
    return ioctl(STDIN_FILENO, FIONREAD, &n) == 0 && n == 0;
}

/* False while the terminal is stopped (Ctrl-S), or too slow. */
static bool output_is_ready(void)
{
    struct pollfd one = {.fd = STDOUT_FILENO, .events = POLLOUT};

    return poll(&one, 1, 0) == 1;
}

static int terminal_tick(struct view *v, double now)
{
    struct terminal *t = v->state;
    int key;

    v->gone = input_is_gone() || reader_is_gone(STDOUT_FILENO);
    if (v->gone || !output_is_ready())
        return 0;
    while ((key = key_take(v, t)) >= 0) {
        if (key > 0)
            return 1;
        t->drawn = 0;
    }
    if (now - t->drawn >= REDRAW)
        draw(v, t);
    t->drawn = now - t->drawn >= REDRAW ? now : t->drawn;
    return 0;
}

static int terminal_wait(struct view *v, zmq_pollitem_t *items)
{
    (void)v;
    items[0] = (zmq_pollitem_t){.fd = STDIN_FILENO, .events = ZMQ_POLLIN};
    return 1;
}

static int terminal_close(struct view *v)
{
    struct terminal *t = v->state;

    tcflow(STDOUT_FILENO, TCOON); /* does not wait for a stopped terminal */
    endwin();
    delscreen(t->screen);
    free(t);
    return 0;
}

static const struct view_ops terminal = {
    .name = "terminal", .wait = terminal_wait, .tick = terminal_tick, .close = terminal_close};

int view_terminal(struct view *v)
{
    struct terminal *t = calloc(1, sizeof *t);

    if (!t)
        return err(ERR_MEMORY, "no memory for the screen");
    setlocale(LC_CTYPE, "");
    if (MB_CUR_MAX < 4)
        setlocale(LC_CTYPE, "C.UTF-8");
    t->screen = newterm(NULL, stdout, stdin);
    if (!t->screen) {
        free(t);
        return err(ERR_FAILED, "cannot draw on the terminal '%s'; try --lines",
                   getenv("TERM") ? getenv("TERM") : "");
    }
    screen_start();
    cbreak();
    noecho();
    nodelay(stdscr, TRUE);
    keypad(stdscr, TRUE);
    curs_set(0);
    v->ops = &terminal;
    v->state = t;
    v->stays = true;
    return 0;
}
