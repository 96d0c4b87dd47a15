/* csv_columns.h - the header of a .csv file, and what each column is for. */
#ifndef CORE_DATA_CSV_COLUMNS_H
#define CORE_DATA_CSV_COLUMNS_H

#include <stdbool.h>
#include <stdint.h>

#include "core/data/sheet.h"

struct csv_column {
    char *name;                 /* owned */
    int input, target;          /* its place among them; -1: it is none */
    bool classes, time, weight; /* the weight is a target, too */
};

struct csv_columns {
    uint32_t n, room;
    struct csv_column *each; /* owned */
    int n_inputs, n_targets;
};

/* The next name of the header. ERR_DATA, ERR_MEMORY. */
int csv_columns_add(struct csv_columns *c, const char *name, size_t n, const char *path);

/* The header is complete: finds what is wanted. ERR_DATA for a header that cannot be one,
 * ERR_CONFIG for names that are not there or stand for two things. */
int csv_columns_choose(struct csv_columns *c, const struct sheet_wanted *w, const char *path);

/* Digest of the names of inputs and targets, in order: name by name, from the number of inputs. */
uint64_t csv_name_digest(const char *name, uint64_t digest);
uint64_t csv_columns_digest(const struct csv_columns *c);
/* The names of the targets, in order. ERR_MEMORY. */
int csv_columns_targets(const struct csv_columns *c, struct names *names);
void csv_columns_release(struct csv_columns *c);

#endif
