/* data.h - data sets: an index of classes and samples, and a way to read one sample.
 *
 * Image sets give reals in 0..1 (bytes / 255), channels last, and a class per sample. Generators
 * compute samples from (class, sample) alone, the same on any rank; their classes are endless. A
 * regression set (n_target > 0) gives an input and a target per sample. */
#ifndef CORE_DATA_DATA_H
#define CORE_DATA_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/base/real.h"
#include "core/math/layer.h"

struct data_config; /* core/config/config.h: the keys of one `data NAME { ... }` section */

/* Sample ids from DATA_GRID on are the fixed evaluation points of a regression set: DATA_GRID + j,
 * 0 <= j < n_grid. */
#define DATA_GRID 0x80000000u
#define DATA_ENDLESS 0x80000000u /* n_classes of a generator, and class_size of its classes */

struct mapped; /* core/data/mapped.h */
struct survey; /* core/data/survey.h */

struct data {
    const struct data_ops *ops; /* borrowed */
    char name[64];              /* of the configuration's section */
    struct shape shape;         /* of one sample as read: after resize */
    int n_target;               /* 0: classification; else reals per target */
    uint32_t n_classes;         /* as selected by `classes`; DATA_ENDLESS for generators */
    uint32_t n_samples;         /* of all classes; DATA_ENDLESS for glyphs, 0 for sinusoid */
    uint32_t n_grid;            /* fixed evaluation points of each class, 0 for images */
    int n_turns;                /* 1, or 4 if quarter turns are drawn or make classes */
    bool timed;                 /* the samples of a class are in the order of time */
    uint64_t columns;           /* digest of the names of its columns; 0: they have none */
    bool holes;                 /* inputs that are missing are NaN */
    bool weighted;              /* its samples have weights */
    bool named;                 /* its classes have names, not only numbers */
    bool turned_classes;        /* rotations = "classes": class id = 4 * class + quarter turns */
    bool streamed;              /* opened by data_open_streamed */
    void *state;                /* owned by ops */
};

/* Looks at sample `index` of the flat order. x is valid until it returns; 0, or an error that ends
 * the reading. */
typedef int data_visit(void *context, uint32_t index, const real *x);

struct data_ops {
    const char *name;
    const char *summary; /* one line for `metaloop list formats` */
    int (*open)(struct data *d, const struct data_config *c, const char *root);
    uint32_t (*class_size)(const struct data *d, uint32_t class_id);
    /* "alphabet/character01"; writes at most n bytes, always ends with NUL. */
    void (*class_name)(const struct data *d, uint32_t class_id, char *name, size_t n);
    /* Fills x (shape) and, for regression, target (n_target). class_id and sample are valid. */
    int (*read)(const struct data *d, uint32_t class_id, uint32_t sample, real *x, real *target);
    /* Sample `index` of n_samples (before quarter turns), and its class (likewise); index is valid.
     * NULL:
     * none. */
    int (*read_flat)(const struct data *d, uint32_t index, real *x);
    uint32_t (*label_flat)(const struct data *d, uint32_t index);
    /* The other way: the index of a class's sample. NULL: a generator, or nothing to read. */
    uint32_t (*index_flat)(const struct data *d, uint32_t class_id, uint32_t sample);
    /* The targets (n_target) of that sample; NULL: none. */
    void (*target_flat)(const struct data *d, uint32_t index, real *target);
    /* The weight of a sample in losses; NULL: none. */
    real (*weight)(const struct data *d, uint32_t class_id, uint32_t sample);
    real (*weight_flat)(const struct data *d, uint32_t index);
    /* The name of target i; NULL, as the slot or as the answer: it has none. */
    const char *(*target_name)(const struct data *d, int i);
    /* A sentence that the user should see; NULL: none. */
    const char *(*note)(const struct data *d);
    /* "x.npy image 3": where a flat sample (before quarter turns) comes from. */
    void (*where)(const struct data *d, uint32_t index, char *text, size_t n);
    /* Class i (before quarter turns) becomes what class order[i] was, a permutation. NULL: cannot.
     * ERR_MEMORY. */
    int (*reorder)(struct data *d, const uint32_t *order);
    /* data_each of a streamed set, before quarter turns; NULL: the format has none, and opens
     * such a set as any other. */
    int (*each)(const struct data *d, data_visit *visit, void *context);
    /* A digest of the stored pixels of a flat sample (before quarter turns), as bytes: images of
     * equal bytes have equal digests. NULL: it has no stored images. ERR_DATA. */
    int (*digest)(const struct data *d, uint32_t index, uint64_t *digest);
    /* Fills the part of the survey that depends on the format: labels, pixels, sampled, time,
     * low, high. */
    int (*survey)(const struct data *d, struct survey *s);
    struct mapped *(*map)(
        const struct data *d); /* the file its pixels are mapped from; NULL: none */
    void (*close)(struct data *d);
};

extern const struct data_ops *const data_table[];   /* ended by NULL */
const struct data_ops *data_find(const char *name); /* NULL: no such format */

/* Opens what section c names, relative to root. Every error names the path and, inside a file, the
 * offset or member: ERR_NOINPUT, ERR_DATA, ERR_CONFIG, ERR_MEMORY. Not collective. Data sets opened
 * from the same files share one copy of the pixels within the process. */
int data_open(struct data *d, const struct data_config *c, const char *root);
void data_close(struct data *d);

/* The same for data_each alone: of a folder or its archive no pixels are kept in memory, which may
 * be less than the set. */
int data_open_streamed(struct data *d, const struct data_config *c, const char *root);

/* Visits every flat sample once, in whatever order the format reads best; with `rotations =
 * "classes"` the four turns of an image one after another. ERR_CONFIG for sets without flat
 * samples; ERR_DATA if the files have changed; what visit returns. */
int data_each(const struct data *d, data_visit *visit, void *context);

/* Samples of a class; 0 if there is no such class. */
uint32_t data_class_size(const struct data *d, uint32_t class_id);
/* Puts the name of a class into name (n bytes), cut if it is longer; "" if there is no such
 * class. */
void data_class_name(const struct data *d, uint32_t class_id, char *name, size_t n);

/* Whether data_read, or data_read_flat and data_label_flat, can read that sample: ERR_DATA,
 * ERR_CONFIG. */
int data_check(const struct data *d, uint32_t class_id, uint32_t sample, int turns);
int data_check_flat(const struct data *d, uint32_t index);

/* One sample, turned by `turns` quarter turns counter-clockwise (as numpy.rot90) on top of what its
 * class says. x: shape_size(d->shape) reals; target: d->n_target reals or NULL.
 * ERR_DATA for an id beyond the set. Thread-safe. */
int data_read(const struct data *d, uint32_t class_id, uint32_t sample, int turns, real *x,
              real *target);

/* Flat access: sample `index` of d->n_samples in the order of the file, whatever its label is.
 * Image sets:
 * the images (of the selected classes) as the file has them, folders' by path; glyphs: 16 samples
 * of class 0, then of class 1 ...; with `first` classes sample by sample, index = sample * first +
 * class. With rotations = "classes" each comes four times in a row, turned by 0, 1, 2 and 3 quarter
 * turns. ERR_DATA for an index beyond the set; ERR_CONFIG for sets without flat samples.
 * Thread-safe. */
int data_read_flat(const struct data *d, uint32_t index, real *x);
int data_label_flat(const struct data *d, uint32_t index, uint32_t *class_id);

/* The flat index of a sample of a class, both of which the set has. The set is no generator. */
uint32_t data_index_flat(const struct data *d, uint32_t class_id, uint32_t sample);

int data_target_flat(const struct data *d, uint32_t index, real *target); /* (n_target) */

/* The weight in losses of a sample that data_read, or data_read_flat, can read: at least 0, 1 if
 * the set has no weights. */
real data_weight(const struct data *d, uint32_t class_id, uint32_t sample);
real data_weight_flat(const struct data *d, uint32_t index);

#endif
