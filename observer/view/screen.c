/* screen.c - ncursesw. A braille character has 2 x 4 dots, so a curve has four times the resolution
 * of its rows. */
#include "observer/view/screen.h"

#include <inttypes.h>
#include <math.h>
#include <ncurses.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

enum { LABEL = 8, COLUMNS_MAX = 1024, DOTS_X = 2, DOTS_Y = 4 };

static bool is_coloured(void)
{
    const char *no = getenv("NO_COLOR");

    return has_colors() && !(no && *no);
}

void screen_start(void)
{
    static const short colours[] = {
        [PAINT_GOOD] = COLOR_GREEN, [PAINT_BAD] = COLOR_RED,        [PAINT_WARN] = COLOR_YELLOW,
        [PAINT_FIRST] = COLOR_CYAN, [PAINT_SECOND] = COLOR_MAGENTA, [PAINT_THIRD] = COLOR_YELLOW};

    if (!is_coloured())
        return;
    start_color();
    use_default_colors();
    for (short i = 0; i < (short)(sizeof colours / sizeof *colours); i++)
        if (colours[i])
            init_pair(i, colours[i], -1);
}

void screen_paint(enum paint p)
{
    attrset(p == PAINT_FAINT                     ? A_DIM
            : p == PAINT_PLAIN || !is_coloured() ? A_NORMAL
                                                 : COLOR_PAIR(p));
    if (p == PAINT_BAD)
        attron(A_BOLD);
}

int screen_text(int y, int x, int w, const char *fmt, ...)
{
    char text[1024];
    wchar_t wide[1024];
    int used = 0, n = 0;
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    if (mbstowcs(wide, text, 1024) == (size_t)-1)
        return 0;
    wide[1023] = L'\0';
    for (; wide[n]; n++) {
        int columns = wcwidth(wide[n]) > 0 ? wcwidth(wide[n]) : 0;

        if (used + columns > w)
            break;
        used += columns;
    }
    mvaddnwstr(y, x, wide, n);
    return used;
}

void screen_rule(struct area a, const char *title)
{
    screen_paint(PAINT_FAINT);
    for (int i = 0; i < a.w; i++)
        mvaddwstr(a.y, a.x + i, L"─");
    screen_paint(PAINT_PLAIN);
    attron(A_BOLD);
    screen_text(a.y, a.x + 1, a.w - 1, " %s ", title);
    screen_paint(PAINT_PLAIN);
}

void screen_bar(int y, int x, int w, double share)
{
    int filled = (int)(share * w + 0.5);

    screen_paint(PAINT_GOOD);
    for (int i = 0; i < w; i++) {
        if (i == filled)
            screen_paint(PAINT_FAINT);
        mvaddwstr(y, x + i, i < filled ? L"━" : L"─");
    }
    screen_paint(PAINT_PLAIN);
}

/* The mean of the values of each column of dots; NAN if there is none. */
static void columns_fill(const struct series *s, const struct range *g, double *means, int n)
{
    int counts[COLUMNS_MAX] = {0};

    for (int i = 0; i < n; i++)
        means[i] = 0;
    for (int i = 0; i < s->n; i++) {
        double v = range_value(g, s->points[i].value);
        int at = (int)(range_place(g, s->points[i].round) * (n - 1) + 0.5);

        if (isnan(v))
            continue;
        means[at] += v;
        counts[at]++;
    }
    for (int i = 0; i < n; i++)
        means[i] = counts[i] ? means[i] / counts[i] : NAN;
}

static void dot(struct area a, int x, int y)
{
    static const int bits[DOTS_Y][DOTS_X] = {
        {0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    int row = a.y + y / DOTS_Y, column = a.x + x / DOTS_X;
    wchar_t text[CCHARW_MAX + 1] = {0};
    cchar_t cell;
    attr_t attributes;
    short pair;

    if (mvin_wch(row, column, &cell) == OK)
        getcchar(&cell, text, &attributes, &pair, NULL);
    if (text[0] < 0x2800 || text[0] > 0x28ff)
        text[0] = 0x2800;
    text[0] |= bits[y % DOTS_Y][x % DOTS_X];
    text[1] = L'\0';
    mvaddwstr(row, column, text);
}

/* Connects dots; missing values are bridged by a straight line. */
static void curve_draw(struct area a, const struct series *s, const struct range *g)
{
    double means[COLUMNS_MAX];
    int n = a.w * DOTS_X < COLUMNS_MAX ? a.w * DOTS_X : COLUMNS_MAX, h = a.h * DOTS_Y, before = -1,
        y0 = 0;

    columns_fill(s, g, means, n);
    for (int x = 0; x < n; x++) {
        if (isnan(means[x]))
            continue;
        int y1 = (int)((g->high - means[x]) / (g->high - g->low) * (h - 1) + 0.5);

        dot(a, x, y1);
        for (int i = before + 1; before >= 0 && i < x; i++)
            dot(a, i, y0 + (y1 - y0) * (i - before) / (x - before));
        for (int y = y0; before >= 0 && before == x - 1 && y != y1; y += y1 > y0 ? 1 : -1)
            dot(a, abs(y - y0) * 2 > abs(y1 - y0) ? x : before, y);
        before = x;
        y0 = y1;
    }
}

static void chart_title(struct area a, const struct chart *c)
{
    char figure[32], title[CHART_NAME];
    int x = a.x + LABEL;

    attron(A_BOLD);
    chart_name(title, sizeof title, c);
    x += screen_text(a.y, x, a.w - LABEL, "%s", title);
    for (int k = 0; k < c->n; k++) {
        chart_figure(figure, sizeof figure, c, series_last(c->curves[k]));
        screen_paint(PAINT_FIRST + k % 3);
        x += screen_text(a.y, x, a.x + a.w - x, "  %s %s", c->n > 1 ? c->names[k] : "", figure);
    }
    screen_paint(PAINT_PLAIN);
}

static void chart_axes(struct area a, const struct chart *c, const struct range *g)
{
    char high[32], low[32];
    int w = a.w - LABEL;

    chart_figure(high, sizeof high, c, g->log ? pow(10, g->high) : g->high);
    chart_figure(low, sizeof low, c, g->log ? pow(10, g->low) : g->low);
    screen_paint(PAINT_FAINT);
    screen_text(a.y + 1, a.x, LABEL, "%7.7s", high);
    screen_text(a.y + a.h - 2, a.x, LABEL, "%7.7s", low);
    for (int i = 1; i < a.h - 1; i++)
        mvaddwstr(a.y + i, a.x + LABEL - 1, L"│");
    screen_text(a.y + a.h - 1, a.x + LABEL, w, "%" PRIu64 "%s", g->first, g->log ? "  log" : "");
    screen_text(a.y + a.h - 1, a.x + LABEL, w, "%*" PRIu64, w, g->last);
    screen_text(a.y + a.h - 1, a.x + LABEL, w, "%" PRIu64 "%s", g->first, g->log ? "  log" : "");
    screen_paint(PAINT_PLAIN);
}

void screen_chart(struct area a, const struct chart *c, bool log)
{
    struct range g = chart_range(c, log);
    struct area inside = {a.y + 1, a.x + LABEL, a.h - 2, a.w - LABEL};

    if (inside.h < 1 || inside.w < 4)
        return;
    chart_title(a, c);
    chart_axes(a, c, &g);
    for (int k = c->n - 1; k >= 0; k--) {
        screen_paint(PAINT_FIRST + k % 3);
        curve_draw(inside, c->curves[k], &g);
    }
    screen_paint(PAINT_PLAIN);
}
