/* survey.h - what a data set holds, as a few numbers to compare: between ranks, and
 * between a run and its resume. */
#ifndef CORE_DATA_SURVEY_H
#define CORE_DATA_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/data/data.h"
#include "core/data/looks.h"

/* Mapped pixels of more bytes than SURVEY_WHOLE are represented by a sample of about
 * SURVEY_SAMPLE bytes (whole images, evenly spaced, first and last among them), by their size
 * and by the file's time of change. */
#define SURVEY_WHOLE ((uint64_t)256 << 20)
#define SURVEY_SAMPLE ((uint64_t)64 << 20)
#define SURVEY_LOOKS 256

struct survey {
    char name[64]; /* of the section */
    struct shape shape;
    uint32_t n_classes, n_samples, n_target;
    uint64_t labels; /* digest of the class of every sample, in order */
    uint64_t names;  /* digest of the class names, in order; 0: it has none */
    uint64_t pixels; /* digest of the pixels in order; of a generator: of its parameters */
    bool sampled;    /* pixels is of a sample */
    int64_t time;    /* of the file's change if sampled; else 0 */
    char kind;       /* of the stored pixels: u bytes, f floats; NUL: a generator's */
    float low,
        high; /* range of the stored pixels that are finite; low > high: none was looked at */
    struct looks looks; /* of about SURVEY_LOOKS of its images; no rank tells another */
};

/* Reads the whole set, or the sample. ERR_DATA if a mapped file has shrunk. Thread-safe. */
int data_survey(const struct data *d, struct survey *s);

/* What differs between two surveys of one section: "the labels or their order differ", ...; NULL:
 * nothing. */
const char *survey_difference(const struct survey *a, const struct survey *b);

/* A sentence on pixels that fill hardly any of their range, and what to do; false: there is nothing
 * to say. */
bool survey_warning(const struct survey *s, char *text, size_t n);

/* One digest of all of it but the time of change. */
uint64_t survey_digest(const struct survey *s);

#endif
