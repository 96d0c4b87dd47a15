/* exit_report.h - how a run ended, for whoever supervises it.
 *
 * Where the death of a rank does not end the job (mpirun --enable-recovery), mpirun returns 0 whatever happened. So the
 * first rank leaves its verdict in the file that METALOOP_STATUS names, lines of key=value:
 *
 *     exit=75                 the run's exit status
 *     reason=stopped by ...   one line
 *     restart=no              yes: starting again from the last checkpoint can help
 *     lost=node3 node7        hosts of the ranks that were lost, none: empty
 *     run=0123456789abcdef    which run it was; empty: none, or it never came so far */
#ifndef LAUNCH_EXIT_REPORT_H
#define LAUNCH_EXIT_REPORT_H

#include <stdbool.h>

struct verdict {
    int status;         /* exit status */
    const char *reason; /* a sentence; line ends become blanks */
    bool restart;
    const char *lost; /* hosts, separated by blanks */
    const char *run;  /* id, "": none */
};

/* Writes *v to the file that METALOOP_STATUS names, whole or not at all (core/base/outfile.h); nothing where it
 * is not set. Call it last, when results are printed and checkpoints are on disk. ERR_CANTCREAT, ERR_IO, ERR_MEMORY. */
int verdict_write(const struct verdict *v);

#endif
