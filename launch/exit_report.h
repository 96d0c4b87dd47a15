/* exit_report.h - how a run ended, for the program that supervises it.
 *
 * If the death of a rank does not end the job (mpirun --enable-recovery), mpirun returns 0 whatever
 * happened. So rank 0 writes an exit report to the file that METALOOP_STATUS names: lines of
 * key=value.
 *
 *     exit=75                 the run's exit status
 *     reason=stopped by ...   one line
 *     restart=no              yes: starting again from the last checkpoint can help
 *     lost=node3 node7        hosts of the ranks that were lost; empty if none was
 *     wrong=rank 3 on node5   ranks that were found to compute wrongly; empty if none was
 *     run=0123456789abcdef    id of the run; empty if the program ended before it had one */
#ifndef LAUNCH_EXIT_REPORT_H
#define LAUNCH_EXIT_REPORT_H

#include <stdbool.h>

struct exit_report {
    int status;         /* exit status */
    const char *reason; /* one sentence; line ends become blanks; borrowed */
    bool restart;       /* starting again from the last checkpoint can help */
    const char *lost;   /* hosts, separated by blanks; borrowed */
    const char *wrong;  /* ranks and hosts; borrowed */
    const char *run;    /* id of the run, "" if there is none; borrowed */
};

/* Writes *r to the file that METALOOP_STATUS names, whole or not at all (core/base/outfile.h). Does
 * nothing if the variable is unset or empty. Call it last, when results are printed and checkpoints
 * are on disk. Errors: ERR_CANTCREAT, ERR_IO, ERR_MEMORY. */
int exit_report_write(const struct exit_report *r);

#endif
