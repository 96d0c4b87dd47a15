/* class_images.h - small labelled sets of images, made at run time. */
#ifndef TESTS_LIB_CLASS_IMAGES_H
#define TESTS_LIB_CLASS_IMAGES_H

#include "tests/lib/data_files.h"

enum { SIDE = 4, PIXELS = SIDE * SIDE, MOST = 64 }; /* of an image; images of a set, at most */

/* NAME.npy holds these n images, and NAME-y.npy says that they are of 3 classes in turn. */
static inline void put_classes(const char *name, const uint8_t *x, uint32_t n)
{
    uint8_t y[MOST];
    char path[32], shape[32];

    for (uint32_t i = 0; i < n; i++)
        y[i] = (uint8_t)(i % 3);
    snprintf(path, sizeof path, "%s.npy", name);
    snprintf(shape, sizeof shape, "%u, %d, %d", n, SIDE, SIDE);
    put_npy(path, "|u1", shape, x, n * PIXELS);
    snprintf(path, sizeof path, "%s-y.npy", name);
    snprintf(shape, sizeof shape, "%u,", n);
    put_npy(path, "|u1", shape, y, n);
}

/* Likewise n images of which no two are alike. */
static inline void put_images(const char *name, uint32_t n)
{
    uint8_t x[MOST * PIXELS];

    for (uint32_t i = 0; i < n * PIXELS; i++)
        x[i] = (uint8_t)(i * 89 + i / PIXELS * 7 + i / 251);
    put_classes(name, x, n);
}

#endif
