/* predict_numbers.h - regression on tables: each task adapts to its rows of the support, and its
 * targets are predicted, in their own units. */
#ifndef LAUNCH_PREDICT_NUMBERS_H
#define LAUNCH_PREDICT_NUMBERS_H

#include "launch/predict_queries.h"

/* Predicts the targets of all rows of some tables, and prints. support: NULL for a model of whole
 * sets. ERR_DATA naming a task without support; ERR_NONFINITE naming the task. */
int predict_numbers(const struct predict_model *model, const char *support,
                    const struct predict_paths *paths, int n_threads, FILE *to,
                    enum print_style style);

#endif
