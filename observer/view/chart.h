/* chart.h - which curves of a stage are shown together, and where their points lie; for the terminal and the picture. */
#ifndef OBSERVER_VIEW_CHART_H
#define OBSERVER_VIEW_CHART_H

#include "observer/model/model.h"

enum { CHARTS_MAX = 12, CHART_CURVES = 8 };

struct chart {
    const char *title;
    bool share; /* 0 to 1, shown as per cent */
    bool noisy; /* each round is another draw: worth smoothing */
    int n;
    const struct series *curves[CHART_CURVES]; /* borrowed */
    const char *names[CHART_CURVES];
};

struct range {
    double low, high; /* of the values, as drawn: low < high */
    uint64_t first, last;
    bool log; /* low and high are logarithms to base 10 */
};

/* The charts of a stage that have points, the important ones first; their count. */
int charts_of(const struct run *r, int stage, struct chart *charts);

/* What a chart spans. log is dropped where a value is not positive. */
struct range chart_range(const struct chart *c, bool log);

/* A value as drawn; NAN where it cannot be. */
double range_value(const struct range *g, double value);

/* Where a round lies: 0 to 1. */
double range_place(const struct range *g, uint64_t round);

/* "0.312", "45.1 %", "1.2e-05": at most 9 characters. */
void chart_figure(char *text, size_t n, const struct chart *c, double value);

#endif
