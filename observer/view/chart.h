/* chart.h - which curves of a stage are shown together, and where their points lie. The terminal
 * and the picture use it. */
#ifndef OBSERVER_VIEW_CHART_H
#define OBSERVER_VIEW_CHART_H

#include "observer/model/model.h"

enum { CHART_CURVES = 8 /* that can be told apart */, CHART_NAME = NAME + 24 };

struct chart {
    const char *title;
    bool share;      /* 0 to 1, shown as per cent */
    bool noisy;      /* each round is another draw: worth smoothing */
    int n, left_out; /* curves; those beyond CHART_CURVES, which can only be counted */
    const struct series *curves[CHART_CURVES]; /* borrowed */
    const char *names[CHART_CURVES];
};

struct range {
    double low, high; /* of the values, as drawn: low < high */
    uint64_t first, last;
    bool log; /* low and high are logarithms to base 10 */
};

/* The *n charts of a stage that have points, the important ones first, then one for each metric of
 * the method's own. Owned by the caller: free(). NULL, with *n 0: no memory. */
struct chart *charts_of(const struct run *r, int stage, int *n);

/* A chart's title in at most n - 1 bytes: "loss", "evaluation accuracy (3 more)". */
void chart_name(char *text, size_t n, const struct chart *c);

/* What a chart spans; it has at least one point. log is dropped if a value is not positive. */
struct range chart_range(const struct chart *c, bool log);

/* A value on the scale that is drawn; NAN if it cannot be. */
double range_value(const struct range *g, double value);

/* Where a round lies between the first and the last: 0 to 1. */
double range_place(const struct range *g, uint64_t round);

/* A value in at most 9 characters and n - 1 bytes: "0.312", "45.1 %", "1.2e-05". */
void chart_figure(char *text, size_t n, const struct chart *c, double value);

#endif
