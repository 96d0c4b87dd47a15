/* curve.h - a picture of `simulate`: speed and efficiency by the number of ranks, by gnuplot. */
#ifndef LAUNCH_CURVE_H
#define LAUNCH_CURVE_H

struct curve_size {
    int ranks;
    double tasks_per_second;
    double efficiency, communication, rank0; /* shares */
};

/* Whether a picture can be drawn into that file: ERR_FAILED without gnuplot, ERR_CANTCREAT. */
int curve_check(const char *path);

/* Draws n > 0 points as PNG; `title` in UTF-8. The file holds the whole picture or is as it was.
 * ERR_FAILED if gnuplot fails; ERR_CANTCREAT, ERR_IO. */
int curve_draw(const char *path, const char *title, const struct curve_size *points, int n);

#endif
