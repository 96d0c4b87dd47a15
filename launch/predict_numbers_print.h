/* predict_numbers_print.h - predicted numbers as a table, as CSV, as JSON lines. */
#ifndef LAUNCH_PREDICT_NUMBERS_PRINT_H
#define LAUNCH_PREDICT_NUMBERS_PRINT_H

#include "launch/predict_print.h"
#include "launch/predict_table.h"

struct number_printer {
    const struct predict_model *model; /* borrowed */
    FILE *to;
    enum print_style style;
    char **names; /* owned, (n_out): of the outputs */
    int n_out;
    bool told_head;
    uint64_t n, n_tasks;      /* rows and tasks so far */
    double *squares, *counts; /* owned, (n_out): errors of those that are known */
};

/* ERR_MEMORY; close it also after an error. */
int number_printer_open(struct number_printer *p, const struct predict_model *model, FILE *to,
                        enum print_style style);

/* The rows of a table in order, y (rows x n_out). ERR_NONFINITE, ERR_DATA. */
int print_numbers(struct number_printer *p, const struct predict_table *t, const char *path,
                  const double *y);

/* How many, and the root of the mean squared error of each target that was known. */
void print_numbers_summary(struct number_printer *p);

/* Frees what it holds. */
void number_printer_close(struct number_printer *p);

#endif
