/* predict_table.h - tables like those that a model was trained on: the same columns, other rows. */
#ifndef LAUNCH_PREDICT_TABLE_H
#define LAUNCH_PREDICT_TABLE_H

#include "core/data/flow.h"
#include "launch/predict_model.h"

struct predict_table {
    struct data data;
    bool known; /* it has the label, or the targets; else only the inputs, and the tasks */
};

/* Opens the table of that path. wanted: label or targets must be there, as in a support; else a
 * table without them will do. ERR_DATA if its columns are others than those of training;
 * ERR_CONFIG, ERR_NOINPUT. */
int predict_table_open(struct predict_table *t, const struct predict_model *p, const char *path,
                       bool wanted);

/* The name of output i of the model: "potency", "potency 0.9". */
void predict_output_name(const struct predict_model *p, int i, char *name, size_t n);

/* Its rows, as a flow has images: the label stands for the folder. */
int predict_table_flow(struct flow *f, const struct predict_model *p, const char *path);

#endif
