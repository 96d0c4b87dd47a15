/* survey.c - digests of what a set holds; those of pixels are the formats' own. */
#include "core/data/survey.h"

#include <stdio.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/err.h"

enum { NAME_MAX_BYTES = 4096 };

#define SURVEY_RANGE (1 / 16.0f) /* range of pixels below which a set seems to have another scale */

static uint64_t names_digest(const struct data *d)
{
    char name[NAME_MAX_BYTES];
    uint64_t digest = d->n_classes;

    for (uint32_t i = 0; i < d->n_classes; i++) {
        data_class_name(d, i, name, sizeof name);
        digest = XXH3_64bits_withSeed(name, strlen(name) + 1, digest);
    }
    return digest;
}

int data_survey(const struct data *d, struct survey *s)
{
    *s = (struct survey){.shape = d->shape,
                         .n_classes = d->n_classes,
                         .n_samples = d->n_samples,
                         .n_target = (uint32_t)d->n_target,
                         .low = 1,
                         .high = 0};
    snprintf(s->name, sizeof s->name, "%s", d->name);
    if (d->named)
        s->names = names_digest(d);
    return d->ops->survey(d, s);
}

static bool same_shape(const struct survey *a, const struct survey *b)
{
    return a->shape.h == b->shape.h && a->shape.w == b->shape.w && a->shape.c == b->shape.c &&
           a->n_target == b->n_target;
}

const char *survey_difference(const struct survey *a, const struct survey *b)
{
    if (strcmp(a->name, b->name) != 0)
        return "the sections differ";
    if (!same_shape(a, b))
        return "the samples' shape differs";
    if (a->n_classes != b->n_classes)
        return "the number of classes differs";
    if (a->n_samples != b->n_samples)
        return "the number of samples differs";
    if (a->names != b->names)
        return "the class names or their order differ";
    if (a->labels != b->labels)
        return "the labels or their order differ";
    if (a->pixels != b->pixels || a->sampled != b->sampled)
        return a->shape.h * a->shape.w == 1 ? "the values differ" : "the pixels differ";
    return a->time != b->time
               ? "the time of change differs (of a large file a sample of the pixels, the size and "
                 "this time are compared: copy it with cp -p or rsync -t)"
               : NULL;
}

uint64_t survey_digest(const struct survey *s)
{
    uint64_t words[] = {(uint64_t)s->shape.h,
                        (uint64_t)s->shape.w,
                        (uint64_t)s->shape.c,
                        s->n_target,
                        s->n_classes,
                        s->n_samples,
                        s->names,
                        s->labels,
                        s->pixels};

    return XXH3_64bits(words, sizeof words);
}

bool survey_warning(const struct survey *s, char *text, size_t n)
{
    float range = s->high - s->low;

    if (!s->kind || range >= SURVEY_RANGE)
        return false;
    if (range < 0)
        snprintf(text, n, "no pixel is a finite number");
    else if (s->kind == 'u')
        snprintf(text, n,
                 "its bytes lie within %.0f and %.0f, and 255 is white: networks learn little from "
                 "so small a range; %s",
                 (double)s->low * 255, (double)s->high * 255,
                 s->high * 255 <= 1 ? "save 255 * x" : "stretch it to 0 to 255");
    else
        snprintf(text, n,
                 "its pixels lie within %.4g and %.4g, and 1 is white: networks learn little from "
                 "so small a range; stretch it to 0 to 1",
                 (double)s->low, (double)s->high);
    return true;
}
