/* screen.h - drawing on the terminal: areas, clipped text, curves of braille dots. Needs a started ncursesw. */
#ifndef OBSERVER_VIEW_SCREEN_H
#define OBSERVER_VIEW_SCREEN_H

#include "observer/view/chart.h"

struct area {
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

void screen_start(void); /* colours */

void screen_paint(enum paint p); /* for what is written next */

/* Text at y, x of at most w columns; characters that do not fit are left out. Returns the columns used. */
int screen_text(int y, int x, int w, const char *fmt, ...) __attribute__((format(printf, 4, 5)));

void screen_rule(struct area a,
                 const char *title); /* a line with a title, on the area's first row */

void screen_bar(int y, int x, int w, double share);

void screen_chart(struct area a, const struct chart *c, bool log);

#endif
