/* clock.h - seconds. For progress, deadlines, time stamps and benchmarks, never for results. */
#ifndef CORE_BASE_CLOCK_H
#define CORE_BASE_CLOCK_H

#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "core/base/habitat.h"

/* Seconds that only go forward, from an arbitrary start; of a simulation, virtual ones. */
static inline double clock_seconds(void)
{
    struct timespec t;

    if (habitat)
        return habitat->seconds();
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Seconds since 1970: the time of day, which may jump. */
static inline double clock_since_1970(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* "1:02:03" or "2:03". */
static inline void clock_text(double seconds, char *text, size_t n)
{
    long all = (long)(seconds + 0.5);

    if (all >= 3600)
        snprintf(text, n, "%ld:%02ld:%02ld", all / 3600, all / 60 % 60, all % 60);
    else
        snprintf(text, n, "%ld:%02ld", all / 60, all % 60);
}

#endif
