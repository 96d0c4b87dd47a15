/* view.h - which images of a store a data set has, by flat index and by class. */
#ifndef CORE_DATA_VIEW_H
#define CORE_DATA_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "core/data/store.h"

#define VIEW_NO_CLASS UINT32_MAX

struct store_view {
    uint32_t n; /* images */
    /* owned; [n]: the store's image by flat index, ascending; NULL: all of them */
    uint32_t *member;
    /* owned; class id by class of the store, or VIEW_NO_CLASS; NULL: the same */
    uint32_t *class_of;
    uint32_t *first; /* owned; [n_classes + 1]: class i has the flat indices order[first[i]] ... */
    uint32_t *order; /* owned; [n] */
};

struct choice {
    const uint32_t *selected; /* borrowed; classes of the store, by class id; NULL: 0, 1, ... */
    uint32_t n_classes;       /* may go beyond the store's: those are empty */
    uint32_t subset;          /* images drawn at random from those; 0: all of them */
    uint64_t seed;            /* of the subset */
};

/* ERR_MEMORY; ERR_CONFIG for a subset of more images than there are. Release it after an error,
 * too. */
int view_init(struct store_view *v, const struct store *s, const struct choice *c);
void view_release(struct store_view *v);

/* first[n_classes + 1], owned by the caller: how many images of s come before each of its
 * classes. */
int store_count(const struct store *s, uint32_t n_classes, uint32_t **first);

/* Digest of the class of every image, in order. */
uint64_t view_labels(const struct store_view *v, const struct store *s);

struct survey;
/* Fills pixels, sampled, time, low and high of the survey. */
int view_pixels(const struct store_view *v, const struct store *s, struct survey *out);

/* The image of the store that is the view's image `index`. */
static inline uint32_t view_image(const struct store_view *v, uint32_t index)
{
    return v->member ? v->member[index] : index;
}

/* The view's image that is image `image` of the store; false: it has none. */
bool view_find(const struct store_view *v, uint32_t image, uint32_t *index);

/* The view's class of a label of the store. */
static inline uint32_t view_class(const struct store_view *v, uint32_t label)
{
    return v->class_of ? v->class_of[label] : label;
}

#endif
