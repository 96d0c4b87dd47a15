/* deadline.c - compares the time that is left with the time that a round and a save need. */
#include "coordinator/run/deadline.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

#include "core/base/clock.h"
#include "core/base/err.h"

#define LEAVE_SECONDS 2.0 /* to end all ranks */
#define MARGIN 1.5        /* safety factor on measured times */

/* Seconds until the batch job ends; infinite if no limit is known. */
static int job_left(double *left)
{
    const char *text = getenv("SLURM_JOB_END_TIME");
    char *end;
    double at;

    *left = INFINITY;
    if (!text || !*text)
        return 0;
    errno = 0;
    at = strtod(text, &end);
    if (errno || *end || !(at > 0))
        return err(ERR_USAGE, "SLURM_JOB_END_TIME is '%.40s', not seconds since 1970", text);
    *left = at - (double)time(NULL);
    return 0;
}

int deadline_open(struct deadline *d, double limit)
{
    double left;

    TRY(job_left(&left));
    if (limit > 0 && limit < left)
        left = limit;
    *d = (struct deadline){.at = clock_seconds() + left};
    return 0;
}

/* A slow round raises the estimate at once; quick ones lower it slowly. */
void deadline_note_round(struct deadline *d, double seconds)
{
    d->round = fmax(seconds, 0.9 * d->round);
}

static bool is_past(const struct deadline *d, double needed)
{
    return clock_seconds() + LEAVE_SECONDS + MARGIN * needed > d->at;
}

bool deadline_before_round(const struct deadline *d, double save)
{
    return is_past(d, d->round + save);
}

bool deadline_before_save(const struct deadline *d, double save)
{
    return is_past(d, save);
}
