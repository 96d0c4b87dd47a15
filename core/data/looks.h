/* looks.h - how the images of a set look, as a few numbers: to notice that others look otherwise.
 */
#ifndef CORE_DATA_LOOKS_H
#define CORE_DATA_LOOKS_H

#include <stddef.h>
#include <stdint.h>

#include "core/data/store.h"

struct looks {
    double mean, deviation; /* of pixels as stored, 0..1 */
    double border;          /* the mean of the outermost rows and columns: the background */
    struct sizes sizes;     /* of the images before they were resized */
    double n, sum, squares; /* what mean and deviation are made of */
    double n_border, at_border;
};

/* Adds image `at` of the store's pixels, and the sizes of the store. */
void looks_add(struct looks *l, const struct store *s, size_t at);

/* Fills mean, deviation and border. Without an image they are 0. */
void looks_close(struct looks *l);

#endif
