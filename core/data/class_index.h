/* class_index.h - different names, numbered as they come, and then in the order of their bytes. */
#ifndef CORE_DATA_CLASS_INDEX_H
#define CORE_DATA_CLASS_INDEX_H

#include <stddef.h>

#include "core/data/names.h"

struct class_index { /* zeros: empty and ready */
    uint32_t n, n_slots;
    uint32_t *slots; /* owned; number + 1 by hash, or 0 */
    size_t *start;   /* owned; [n_room]: where a name begins in text */
    size_t n_room;
    char *text; /* owned; names, each with its NUL */
    size_t n_text, text_room;
};

/* The number of a name of n bytes without a NUL. ERR_MEMORY; ERR_DATA if there are LABEL_MAX
 * others. */
int class_index_take(struct class_index *c, const char *name, size_t n, uint32_t *number);

/* Moves the names, sorted, to v, and renumbers the n numbers. c is then empty. ERR_MEMORY. */
int class_index_sort(struct class_index *c, struct names *v, uint32_t *numbers, size_t n);
void class_index_release(struct class_index *c);

#endif
