/* portion.h - progress of work of a known length, on standard error: on a terminal one line that is
 * drawn over, elsewhere a line now and then. */
#ifndef LAUNCH_PORTION_H
#define LAUNCH_PORTION_H

#include <stdbool.h>
#include <stdint.h>

struct portion {
    const char *doing, *what; /* borrowed: "packing", "images" */
    double every;             /* seconds between lines, if it is no terminal; 0: nothing is shown */
    bool terminal, drawn;
    double start, shown; /* clock */
};

/* every: seconds between lines, if standard error is no terminal; 0: nothing is shown. */
void portion_begin(struct portion *s, const char *doing, const char *what, double every);

/* n of the work is done. Shows it, with the time left, if it is time to. */
void portion_show(struct portion *s, uint64_t n, uint64_t of);

void portion_end(struct portion *s); /* clears the terminal's line */

#endif
