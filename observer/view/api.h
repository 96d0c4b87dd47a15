/* api.h - what is seen, as JSON and as OpenMetrics for Prometheus. docs/observe.md has the keys. */
#ifndef OBSERVER_VIEW_API_H
#define OBSERVER_VIEW_API_H

#include <jansson.h>
#include <stdio.h>

#include "observer/view/view.h"

/* All runs without the points of their curves; the caller owns it. now: seconds since 1970. NULL:
 * no memory. */
json_t *api_runs(const struct runs *runs, double now);

/* Writes the points with a serial above `since` of a run's curves, as JSON on one line. run: its
 * place in runs. Errors stay in the stream's error flag. */
void api_series(FILE *f, const struct runs *runs, int run, uint64_t since);

/* The text of /metrics and its length; the caller frees it. NULL: no memory. */
char *api_openmetrics(const struct runs *runs, size_t *n);

#endif
