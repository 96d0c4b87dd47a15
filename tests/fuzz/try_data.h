/* try_data.h - opens a data set from the input, and reads it where it opens, as it is and
 * shifted. */
#ifndef TESTS_FUZZ_TRY_DATA_H
#define TESTS_FUZZ_TRY_DATA_H

#include <math.h>

#include "core/config/config.h"
#include "core/data/data.h"
#include "tests/fuzz/fuzz.h"

enum { TRIED_CLASSES = 32, TRIED_SAMPLES = 8 };

static inline void try_sample(const struct data *d, uint32_t class_id, uint32_t sample, real *x)
{
    size_t n = shape_size(d->shape);

    EXPECT(data_read(d, class_id, sample, 0, x, NULL) == 0);
    for (size_t i = 0; i < n; i++)
        EXPECT(!isfinite(x[i]) || (x[i] >= 0 && x[i] <= 1));
}

static inline void try_class(const struct data *d, uint32_t class_id, real *x)
{
    uint32_t n = data_class_size(d, class_id);
    char name[64];

    data_class_name(d, class_id, name, sizeof name);
    EXPECT(*name);
    for (uint32_t i = 0; i < n && i < TRIED_SAMPLES; i++)
        try_sample(d, class_id, i, x);
    EXPECT_REFUSAL(data_read(d, class_id, n, 0, x, NULL), ERR_DATA);
}

static inline void try_flat(const struct data *d, uint32_t index, real *x)
{
    size_t n = shape_size(d->shape);
    uint32_t class_id;

    EXPECT(data_read_flat(d, index, x) == 0);
    for (size_t i = 0; i < n; i++)
        EXPECT(!isfinite(x[i]) || (x[i] >= 0 && x[i] <= 1));
    EXPECT(data_label_flat(d, index, &class_id) == 0 && class_id < d->n_classes);
    EXPECT_REFUSAL(data_read_flat(d, d->n_samples, x), ERR_DATA);
}

/* A set that opened before, in another domain. */
static inline void try_shifted(struct data_config c, real *x)
{
    struct data d;

    c.thicken = 0.75;
    c.rotate = 30;
    c.texture = 0.5;
    c.subset = c.first = 1;
    if (data_open(&d, &c, "") < 0)
        return; /* the first class may be empty */
    EXPECT(d.n_samples == 1 && d.n_classes == 1);
    try_flat(&d, 0, x);
    data_close(&d);
}

static inline void try_data(const struct data_config *c)
{
    struct data d;
    real *x;
    int code = data_open(&d, c, "");

    if (code < 0) {
        EXPECT_REFUSAL(code, ERR_DATA);
        return;
    }
    x = calloc(shape_size(d.shape), sizeof *x);
    EXPECT(x && d.n_classes > 0);
    for (uint32_t i = 0; i < d.n_classes && i < TRIED_CLASSES; i++)
        try_class(&d, i, x);
    EXPECT_REFUSAL(data_read(&d, d.n_classes, 0, 0, x, NULL), ERR_DATA);
    try_flat(&d, d.n_samples - 1, x);
    try_shifted(*c, x);
    free(x);
    data_close(&d);
}

#endif
