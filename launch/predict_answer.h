/* predict_answer.h - queries in batches, answered by several threads. */
#ifndef LAUNCH_PREDICT_ANSWER_H
#define LAUNCH_PREDICT_ANSWER_H

#include "launch/predict_model.h"

struct query_batch { /* buffers are the caller's, for as many samples as the crowd was opened for */
    int n;
    real *x;   /* (n x inputs) */
    double *p; /* (n x classes) probabilities, overwritten */
};

struct crowd {
    const struct predict_model *model; /* borrowed */
    int n_threads;
    struct answerer *each; /* owned, (n_threads) */
};

/* Takes work space for n_threads threads and batches of up to n_most. ERR_MEMORY. crowd_close also
 * after an error. */
int crowd_open(struct crowd *c, const struct predict_model *model, int n_threads, int n_most);

/* Answers n batches; which thread answers which changes nothing. */
void crowd_answer(struct crowd *c, struct query_batch *batches, int n);

/* Frees its work spaces. */
void crowd_close(struct crowd *c);

/* --threads, else cluster.threads of the checkpoint, else the cores this process may use. */
int crowd_threads(const struct predict_model *model, int64_t threads);

#endif
