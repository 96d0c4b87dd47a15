/* predict_adapt.h - a few-shot model adapts to the classes of its user. */
#ifndef LAUNCH_PREDICT_ADAPT_H
#define LAUNCH_PREDICT_ADAPT_H

#include "launch/predict_model.h"

/* Adapts to the images of a folder for each class, or to the rows of a table: fills p->answer,
 * which lives as long as p. ERR_DATA naming the folder, the class, the table or its line;
 * ERR_NOINPUT, ERR_NONFINITE. */
int predict_adapt(struct predict_model *p, const char *support);

#endif
