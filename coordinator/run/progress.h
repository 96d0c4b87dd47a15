/* progress.h - what a person sees of a run, on standard error.
 *
 * On a terminal one line that is drawn over, ten times a second at most; elsewhere (a batch job's
 * log) one line every `progress.every` seconds. It never waits for the reader: what does not fit
 * now is not shown.
 *
 * Under mpirun standard error is a pipe. launch/run, which has the terminal, names a file with its
 * size (METALOOP_TERMINAL:
 * "ROWS COLUMNS") and keeps it right when the window changes. */
#ifndef COORDINATOR_RUN_PROGRESS_H
#define COORDINATOR_RUN_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
    bool terminal, quiet;
    double every;        /* seconds between lines */
    double start, shown; /* clocks: the stage's beginning, the last line */
    uint64_t first;      /* round at start: rates and time left count from it */
    bool drawn;          /* the terminal's line is not empty */
    const char *size; /* the file with the terminal's size; NULL: standard error is the terminal */
    int width;        /* its columns, as seen last, */
    double measured;  /* then */

    void (*tell)(void *context, const char *level,
                 const char *line); /* NULL: nobody else hears the lines */
    void *context;
};

struct glance {
    const char *stage;
    uint64_t round, rounds;
    uint64_t tasks;        /* per round */
    double loss, accuracy; /* accuracy < 0: none */
    double failed;         /* tasks set aside so far */
};

/* every 0: quiet. */
void progress_open(struct progress *p, double every);
void progress_stage(struct progress *p, uint64_t first_round);
void progress_show(struct progress *p, const struct glance *g);

/* Shows at once that a stage begins; of the glance only stage, round and rounds count. */
void progress_begin(struct progress *p, const struct glance *g);

/* Print a line of its own, above the bar where there is one; a warning when quiet, too. tell hears
 * both, "info" and "warning". */
void progress_say(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void progress_warn(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Seconds until so many rounds are done; not a number: not known. */
double progress_left(const struct progress *p, uint64_t round, uint64_t rounds);

void progress_clear(struct progress *p); /* leaves the terminal's line empty */

#endif
