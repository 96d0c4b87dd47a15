/* recall.h - data sets as a checkpoint remembers them: shape, classes and looks, without samples.
 *
 * The text is one JSON object; each section has a key: docs/checkpoints.md. */
#ifndef CORE_DATA_RECALL_H
#define CORE_DATA_RECALL_H

#include "core/data/data.h"
#include "core/data/survey.h"

struct recalled {                /* what is told of one section */
    const struct data *data;     /* borrowed; open */
    const struct survey *survey; /* borrowed: of it */
    bool named;                  /* tell its class names, too */
};

enum { RECALL_NAMES = 1 << 20 }; /* bytes; the names of a section that has more are left out */

/* The text, owned by the caller; NULL: no memory. */
char *recall_text(const struct recalled *each, int n);

/* Fills d with section `name` of the text: all but its samples, which nobody may read. Close it
 * with data_close. 1: the text does not have that section. ERR_DATA: it is no such text;
 * ERR_MEMORY. */
int data_recall(struct data *d, const char *text, const char *name);

/* What such a set looked like. Borrowed from d; NULL for one that was not recalled. */
const struct survey *data_recalled(const struct data *d);

#endif
