/* model_internal.h - shared by the files of the model. model_event calls model and model_series;
 * model calls model_series; all of them call model_note. */
#ifndef OBSERVER_MODEL_MODEL_INTERNAL_H
#define OBSERVER_MODEL_MODEL_INTERNAL_H

#include "observer/model/model.h"

struct series_key {
    int stage;
    const char *group, *of;
    int step;
    const char *field;
};

/* What there may be too many of. */
enum left_out { OUT_STAGES, OUT_SERIES, OUT_WORKERS, OUT_EVALUATIONS, OUT_FACTS };

/* Something was left out: counts it, and a note says so once. */
void model_left_out(struct run *r, enum left_out what);

/* Finds the curve of a key, or makes it. 1: *found is it, borrowed; 0: there are too many, or a
 * name is too long; ERR_MEMORY. */
int series_get(struct run *r, const struct series_key *key, struct series **found);

/* Adds a point. If its round is not above the last one's, the run went back: points from that round
 * on go first. ERR_MEMORY. */
int series_add(struct run *r, struct series *s, uint64_t round, double value, double spread);

/* Frees a curve. */
void series_free(struct series *s);

/* Adds a point to a curve for every number of an event that has a round, except those named in
 * `but`, which NULL ends. Does nothing if stage is negative. ERR_MEMORY. */
int series_event(struct run *r, const struct event *e, int stage, const char *of, int step,
                 const char *const *but);

#endif
