/* screen.h - drawing on the terminal: areas, clipped text, curves of braille dots. ncursesw has
 * been started. */
#ifndef OBSERVER_VIEW_SCREEN_H
#define OBSERVER_VIEW_SCREEN_H

#include "observer/view/chart.h"

struct area { /* of the screen, in rows and columns */
    int y, x, h, w;
};

enum paint {
    PAINT_PLAIN,
    PAINT_GOOD,
    PAINT_BAD,
    PAINT_WARN,
    PAINT_FAINT,
    PAINT_FIRST,
    PAINT_SECOND,
    PAINT_THIRD
};

/* Sets up the colours. */
void screen_start(void);

/* The paint of what is written next. */
void screen_paint(enum paint p);

/* Writes text at row y, column x, in at most w columns; characters that do not fit are left out.
 * Returns the columns used. */
int screen_text(int y, int x, int w, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* Draws a line with a title on the area's first row. */
void screen_rule(struct area a, const char *title);

/* Draws a bar of w columns, filled by a share of 0 to 1. */
void screen_bar(int y, int x, int w, double share);

/* Draws the curves of a chart and its axes into an area. */
void screen_chart(struct area a, const struct chart *c, bool log);

#endif
