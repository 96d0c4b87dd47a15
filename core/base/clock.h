/* clock.h - seconds. For progress, deadlines, time stamps and benchmarks, never for results. */
#ifndef CORE_BASE_CLOCK_H
#define CORE_BASE_CLOCK_H

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

#endif
