/* predict_queries.h - queries from directories, archives and files, answered batch by batch.
 *
 * Memory does not grow with their number. If answers are independent, images are read once, in
 * order, and answered as they come. If a batch is normalised by its own statistics, each is drawn
 * at random from all queries, as in evaluation; queries that do not fit into memory together are
 * read in several passes. */
#ifndef LAUNCH_PREDICT_QUERIES_H
#define LAUNCH_PREDICT_QUERIES_H

#include "launch/predict_model.h"
#include "launch/predict_print.h"

struct predict_paths {
    const char *const *each; /* borrowed */
    int n;
};

/* Answers all of them, and prints. ERR_DATA, ERR_NOINPUT naming the file, also if there is no image
 * at all; ERR_NONFINITE, ERR_MEMORY. */
int predict_queries(const struct predict_model *model, const struct predict_paths *paths,
                    int n_threads, struct predict_printer *printer);

/* Images that are answered together at most. */
int predict_batch(const struct predict_model *model);

/* Compares the looks with those of training; warns on standard error. */
void predict_warn(const struct predict_model *model, const char *path, const struct looks *seen);

#endif
