/* predict_print.h - predictions as a table, as CSV, as JSON lines. */
#ifndef LAUNCH_PREDICT_PRINT_H
#define LAUNCH_PREDICT_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum print_style { PRINT_TABLE, PRINT_CSV, PRINT_JSON };

struct prediction {
    const char *file; /* borrowed */
    int is;           /* the class that its folder says; -1: none */
    const double *p;  /* (n_classes) probabilities */
};

struct predict_printer {
    FILE *to; /* borrowed */
    enum print_style style;
    char *const *classes; /* borrowed, (n_classes) */
    int n_classes;
    bool told_head;
    int wide, label;                 /* columns of the table: widest file and class so far */
    uint64_t n, n_labelled, n_right; /* predictions so far */
};

/* Prints n predictions in order. */
void print_predictions(struct predict_printer *p, const struct prediction *each, int n);

/* What they come to: how many, how many rightly; protocol: "inductive", "transductive". */
void print_summary(struct predict_printer *p, const char *protocol);

/* ---- what other printers use, too ---- */

/* A field of CSV, in quotes if it must be. */
void print_field(FILE *to, const char *text);

/* One line; takes o. */
void print_object(FILE *to, json_t *o);

/* A string; of a name that is no UTF-8, with '?' for its bytes beyond ASCII. */
json_t *print_text_json(const char *text);

#endif
