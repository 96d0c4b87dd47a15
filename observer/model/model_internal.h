/* model_internal.h - between the files of the model. */
#ifndef OBSERVER_MODEL_MODEL_INTERNAL_H
#define OBSERVER_MODEL_MODEL_INTERNAL_H

#include "observer/model/model.h"

struct series_key {
    int stage;
    const char *group, *of;
    int step;
    const char *field;
};

/* The curve of a key, made where it is new. 1: *found is it; 0: too many; ERR_MEMORY. */
int series_get(struct run *r, const struct series_key *key, struct series **found);

/* Adds a point; one of an earlier round than the last takes those behind it away: the run went back. */
void series_add(struct run *r, struct series *s, uint64_t round, double value, double spread);

void series_free(struct series *s);

/* Every number of an event that has a round, one curve each, but for the names in `but`, which NULL ends. */
int series_event(struct run *r, const struct event *e, int stage, const char *of, int step,
                 const char *const *but);

#endif
