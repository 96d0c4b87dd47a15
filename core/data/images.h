/* images.h - what the image formats share: everything but how a file becomes a store. */
#ifndef CORE_DATA_IMAGES_H
#define CORE_DATA_IMAGES_H

#include "core/data/data.h"
#include "core/data/store.h"

enum images_labels { LABELS_NONE, LABELS_FILE, LABELS_MEMBER }; /* what the key `labels` names */

/* For ops->open: takes the store (keys path, labels, resize), names and selects the classes (keys
 * names, classes, first) and images (subset), sets d->shape, d->n_classes, d->n_samples,
 * d->state. */
int images_open(struct data *d, const struct data_config *c, const char *root,
                enum images_labels labels, store_load *load);

/* For ops->each of a format whose store has a listing: */
struct images_each {
    const struct data *d; /* borrowed; likewise the rest */
    data_visit *visit;
    void *context;
    real *x; /* of d->shape */
};
/* Borrowed. */
struct store *images_store(const struct data *d);
/* Visits image `image` of the store, if the set has it. context: struct images_each. */
int images_show(void *context, uint32_t image, const uint8_t *pixels);

/* The rest of struct data_ops. */
uint32_t images_class_size(const struct data *d, uint32_t class_id);
void images_class_name(const struct data *d, uint32_t class_id, char *name, size_t n);
int images_read(const struct data *d, uint32_t class_id, uint32_t sample, real *x, real *target);
int images_read_flat(const struct data *d, uint32_t index, real *x);
uint32_t images_index_flat(const struct data *d, uint32_t class_id, uint32_t sample);
uint32_t images_label_flat(const struct data *d, uint32_t index);
/* NULL: it has none. */
const char *images_target_name(const struct data *d, int i);
void images_target_flat(const struct data *d, uint32_t index, real *target);
real images_weight(const struct data *d, uint32_t class_id, uint32_t sample);
real images_weight_flat(const struct data *d, uint32_t index);
const char *images_note(const struct data *d);
void images_where(const struct data *d, uint32_t index, char *text, size_t n);
int images_reorder(struct data *d, const uint32_t *order);
int images_digest(const struct data *d, uint32_t index, uint64_t *digest);
int images_survey(const struct data *d, struct survey *s);
struct mapped *images_map(const struct data *d);
void images_close(struct data *d);

#endif
