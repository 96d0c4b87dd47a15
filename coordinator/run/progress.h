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
    double every;     /* seconds between lines */
    double start;     /* clock: the stage's beginning */
    double shown;     /* clock: the last line */
    uint64_t first;   /* round at start: rates and time left count from it */
    bool drawn;       /* the terminal's line is not empty */
    const char *size; /* borrowed: the file with the terminal's size; NULL: standard error is the
                         terminal */
    int width;        /* its columns, as last seen */
    double measured;  /* clock: when that was */

    /* Hears every line of progress_say and progress_warn; NULL: nobody does.
     *   level  "info" or "warning"
     *   about  the kind of the event that tells the same ("evaluation"); "": no event does */
    void (*tell)(void *context, const char *level, const char *about, const char *line);
    void *context;
};

struct glance { /* what a bar or a line shows */
    const char *stage;
    uint64_t round, rounds;
    uint64_t tasks;        /* per round */
    double loss, accuracy; /* accuracy < 0: none */
    double failed;         /* tasks set aside so far */
};

/* Makes *p ready. every: seconds between lines; 0: quiet. */
void progress_open(struct progress *p, double every);

/* A stage begins, or goes on, after so many rounds: rates and time left count from here. */
void progress_stage(struct progress *p, uint64_t first_round);

/* Shows the glance if it is time to, and if standard error takes it without waiting. */
void progress_show(struct progress *p, const struct glance *g);

/* Shows at once that a stage begins; of the glance only stage, round and rounds count. */
void progress_begin(struct progress *p, const struct glance *g);

/* Prints a line of its own, above the bar if there is one. If quiet, nothing is printed, but
 * p->tell hears it. */
void progress_say(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* The same of a line that an event of kind `about` tells, too. */
void progress_say_about(struct progress *p, const char *about, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same of a warning: it is printed even if quiet. */
void progress_warn(struct progress *p, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Seconds until so many rounds are done; not a number: not known. */
double progress_left(const struct progress *p, uint64_t round, uint64_t rounds);

void progress_clear(struct progress *p); /* leaves the terminal's line empty */

#endif
