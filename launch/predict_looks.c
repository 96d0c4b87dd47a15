/* predict_looks.c - polarity, contrast, colour, size: thresholds for what cannot be an accident. */
#include "launch/predict_looks.h"

#include <math.h>
#include <stdio.h>

enum { SENTENCE = 512 };

struct pair_of_looks {
    const char *path, *name;
    const struct looks *seen, *trained;
};

/* The background is on the other side of the pixels' mean, clearly, in both. */
static int polarity(const struct pair_of_looks *l, char *text)
{
    double seen = l->seen->border - l->seen->mean, trained = l->trained->border - l->trained->mean;

    if (seen * trained >= 0 || fabs(seen) < 0.1 || fabs(trained) < 0.1 ||
        fabs(l->seen->border - l->trained->border) < 0.4)
        return 0;
    return snprintf(text, SENTENCE,
                    "'%s': the background is %s (%.2f), that of training section '%s' was %s "
                    "(%.2f): are the images inverted? --set data.%s.invert changes how they are "
                    "read",
                    l->path, seen > 0 ? "light" : "dark", l->seen->border, l->name,
                    trained > 0 ? "light" : "dark", l->trained->border, l->name);
}

/* Hardly any of the range is used: numbers of 0 to 1, saved as bytes, for example. */
static int contrast(const struct pair_of_looks *l, char *text)
{
    if (l->seen->deviation * 8 > l->trained->deviation)
        return 0;
    return snprintf(text, SENTENCE,
                    "'%s': pixels deviate by %.4f from their mean of %.4f, those of training "
                    "section '%s' by %.4f: is white 255 in these images?",
                    l->path, l->seen->deviation, l->seen->mean, l->name, l->trained->deviation);
}

static int colour(const struct pair_of_looks *l, char *text)
{
    const struct sizes *seen = &l->seen->sizes, *trained = &l->trained->sizes;
    bool grey = seen->colour == 0 && trained->grey == 0 && trained->colour > 0;
    bool coloured = seen->colour > 0 && trained->colour == 0 && trained->grey > 0;

    if (!grey && !coloured)
        return 0;
    return snprintf(text, SENTENCE, "'%s': images are %s, those of training section '%s' were %s",
                    l->path, grey ? "grey" : "in colour", l->name, grey ? "in colour" : "grey");
}

static bool is_beyond(const int seen[2], const int trained[2])
{
    return seen[1] > 4 * trained[1] || 4 * seen[0] < trained[0];
}

/* More than four times as large or as small, or stretched to more than one and a half times as
 * wide. */
static int size(const struct pair_of_looks *l, char *text)
{
    const struct sizes *a = &l->seen->sizes, *b = &l->trained->sizes;
    double seen = (a->w[0] + a->w[1]) / (double)(a->h[0] + a->h[1]);
    double trained = (b->w[0] + b->w[1]) / (double)(b->h[0] + b->h[1]);

    if (b->h[0] < 1 || a->h[0] < 1)
        return 0;
    if (!is_beyond(a->h, b->h) && !is_beyond(a->w, b->w) && seen < 1.5 * trained &&
        trained < 1.5 * seen)
        return 0;
    return snprintf(text, SENTENCE,
                    "'%s': images have %d to %d x %d to %d pixels, those of training section '%s' "
                    "had %d to %d x %d to %d",
                    l->path, a->h[0], a->h[1], a->w[0], a->w[1], l->name, b->h[0], b->h[1], b->w[0],
                    b->w[1]);
}

void looks_compare(const char *path, const struct looks *seen, const char *name,
                   const struct looks *trained, void (*say)(const char *sentence))
{
    static int (*const each[])(const struct pair_of_looks *l, char *text) = {polarity, contrast,
                                                                             colour, size};
    const struct pair_of_looks l = {path, name, seen, trained};
    char text[SENTENCE];

    if (seen->n == 0 || trained->n == 0)
        return;
    for (size_t i = 0; i < sizeof each / sizeof *each; i++)
        if (each[i](&l, text) > 0)
            say(text);
}
