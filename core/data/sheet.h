/* sheet.h - a table in memory: rows of inputs, with targets, a class and a time if it has them. */
#ifndef CORE_DATA_SHEET_H
#define CORE_DATA_SHEET_H

#include <stdbool.h>
#include <stdint.h>

#include "core/data/blob.h"
#include "core/data/names.h"
#include "core/math/layer.h"

enum {
    SHEET_COLUMNS_MAX = 1 << 16, /* of a file */
    SHEET_FIELD_MAX = 1 << 20,   /* bytes of a field */
    SHEET_NAME = 128,            /* bytes of a row's place in words */
};

/* What is wanted of a table: column names of a .csv file; members of a .npz file; files beside a
 * .npy file. All borrowed. */
struct sheet_wanted {
    const struct strings *inputs;  /* names or patterns with * ? [; none: all columns left over */
    const struct strings *targets; /* the same; none: no targets */
    const char *classes;           /* each different value is a class; "": one class of all */
    const char *time;              /* "": none */
    const char *weight;            /* "": none; else the last of the targets */
    bool missing;                  /* empty inputs are NaN; else they are refused */
    const char *root;              /* of files beside a .npy file */
};

struct sheet {
    struct shape shape; /* of a row's inputs */
    uint32_t n;         /* rows */
    int n_target;       /* with the weight */
    bool weighted;
    struct blob inputs; /* owned; float [n][shape], from `from` on; it may be mapped */
    const float *x;     /* points into inputs */
    float *targets;     /* owned; [n][n_target]; NaN: a hole, of weights none; NULL: none */
    uint32_t *classes;  /* owned; [n]; NULL: all are 0 */
    double *time;       /* owned; [n]; NULL: none */
    uint32_t n_classes;
    struct names names; /* owned; of the classes, in the order of their bytes; n = 0: numbers */
    struct names goals; /* owned; of the targets; n = 0: they have none */
    uint64_t columns;   /* digest of the names of inputs and targets; 0: they have none */
    char note[160];     /* a sentence for the user, or empty */
};

/* Fills s from a file: ERR_DATA, naming the file and the line and column, or member; ERR_CONFIG for
 * a column that is not there; ERR_NOINPUT, ERR_MEMORY. Release it, after an error too. */
int sheet_read(struct sheet *s, const struct sheet_wanted *w, const char *path);
void sheet_release(struct sheet *s);

/* As sheet_read, of the content b of a .csv file, unpacked (sheet_csv.c). */
int sheet_read_csv(struct sheet *s, const struct sheet_wanted *w, const struct blob *b,
                   const char *path);

/* As sheet_read, of arrays (sheet_array.c). */
int sheet_read_npy(struct sheet *s, const struct sheet_wanted *w, const char *path);
int sheet_read_npz(struct sheet *s, const struct sheet_wanted *w, const char *path);

#endif
