/* api.h - what is seen as JSON, and as OpenMetrics for Prometheus. docs/observe.md has the keys. */
#ifndef OBSERVER_VIEW_API_H
#define OBSERVER_VIEW_API_H

#include <jansson.h>
#include <stdio.h>

#include "observer/view/view.h"

/* All runs but their points. NULL: no memory. */
json_t *api_runs(const struct runs *runs, double now);

/* Writes the points of a run's curves that have a serial above `since`, as JSON on one line. */
void api_series(FILE *f, const struct runs *runs, int run, uint64_t since);

/* The text of /metrics, owned by the caller; NULL: no memory. */
char *api_openmetrics(const struct runs *runs, size_t *n);

#endif
