/* flow.h - images one after the other, from folders, archives and files, in classes or not: memory
 * holds one at a time, however many there are. */
#ifndef CORE_DATA_FLOW_H
#define CORE_DATA_FLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "core/data/looks.h"
#include "core/data/shift.h"
#include "core/data/store.h"

struct data_config;
struct folder; /* core/data/folder.h */

struct flow_image {     /* borrowed for the call */
    const char *file;   /* "DIR/sub/x.png", "FILE.zip/sub/x.png" */
    const char *folder; /* that it lies in, below DIR: "sub"; "" */
    uint64_t index;     /* among all images of the flow so far, from 0 */
    const real *x;      /* as the model reads it */
};

struct flow_taker {
    bool (*wants)(void *context, uint64_t index); /* whether to read that image; NULL: all */
    int (*take)(void *context, const struct flow_image *image); /* what is negative ends the flow */
    void *context;
};

struct flow {
    const struct data_config *section; /* borrowed: how its images are read */
    struct shape shape;                /* that all must have */
    struct flow_taker taker;
    struct shift shift;
    struct store one;            /* the image at hand */
    struct looks looks;          /* of those that were taken */
    real *x;                     /* owned */
    const char *path;            /* borrowed: at hand */
    const struct folder *folder; /* borrowed: that reads it */
    uint64_t n;                  /* images that were met */
    uint64_t n_passed;           /* files that are no images */
    char *passed;                /* owned: the first of them; NULL: none */
};

/* The keys of `section` say how images are read, all but those that say which. ERR_CONFIG,
 * ERR_MEMORY. flow_close also after an error. */
int flow_open(struct flow *f, const struct data_config *section, struct shape shape,
              const struct flow_taker *taker);

/* All images of a directory (by name), of an archive (in its order), or the one of an image file.
 * ERR_NOINPUT, ERR_DATA naming the file; what `take` returned. */
int flow_read(struct flow *f, const char *path);

/* Frees what it holds; one of zeros may be closed. */
void flow_close(struct flow *f);

#endif
