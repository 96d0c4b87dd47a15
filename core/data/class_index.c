/* class_index.c - a hash table with open addresses over names that lie one after the other. */
#include "core/data/class_index.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/err.h"

enum { FIRST = 64 };

void class_index_release(struct class_index *c)
{
    free(c->slots);
    free(c->start);
    free(c->text);
    *c = (struct class_index){0};
}

static const char *name_of(const struct class_index *c, uint32_t number)
{
    return c->text + c->start[number];
}

/* The slot that holds the name, or the empty one where it belongs. */
static uint32_t *slot_of(const struct class_index *c, const char *name, size_t n)
{
    uint64_t at = XXH3_64bits(name, n);

    for (;; at++) {
        uint32_t *slot = &c->slots[at & (c->n_slots - 1)];

        if (*slot == 0)
            return slot;
        if (strncmp(name_of(c, *slot - 1), name, n) == 0 && !name_of(c, *slot - 1)[n])
            return slot;
    }
}

/* At most half of the slots are full. */
static int grow_slots(struct class_index *c)
{
    uint32_t n = c->n_slots ? 2 * c->n_slots : FIRST, *slots;

    if (2 * (c->n + 1) <= c->n_slots)
        return 0;
    slots = calloc(n, sizeof *slots);
    if (!slots)
        return err(ERR_MEMORY, "out of memory for %u names", c->n);
    free(c->slots);
    c->slots = slots;
    c->n_slots = n;
    for (uint32_t i = 0; i < c->n; i++)
        *slot_of(c, name_of(c, i), strlen(name_of(c, i))) = i + 1;
    return 0;
}

static int grow_names(struct class_index *c, size_t n)
{
    size_t *start = c->start;
    char *text = c->text;

    if (c->n == c->n_room) {
        c->n_room = c->n_room ? 2 * c->n_room : FIRST;
        start = realloc(c->start, c->n_room * sizeof *start);
        c->start = start ? start : c->start;
    }
    if (c->n_text + n + 1 > c->text_room) {
        c->text_room = 2 * c->text_room + n + 1;
        text = realloc(c->text, c->text_room);
        c->text = text ? text : c->text;
    }
    return start && text ? 0 : err(ERR_MEMORY, "out of memory for %u names", c->n);
}

static int add(struct class_index *c, const char *name, size_t n)
{
    if (c->n >= LABEL_MAX)
        return err(ERR_DATA, "there are more than %d different names", LABEL_MAX);
    TRY(grow_names(c, n));
    c->start[c->n++] = c->n_text;
    memcpy(c->text + c->n_text, name, n);
    c->text[c->n_text + n] = '\0';
    c->n_text += n + 1;
    return 0;
}

int class_index_take(struct class_index *c, const char *name, size_t n, uint32_t *number)
{
    uint32_t *slot;

    TRY(grow_slots(c));
    slot = slot_of(c, name, n);
    if (*slot == 0) {
        TRY(add(c, name, n));
        *slot = c->n;
    }
    *number = *slot - 1;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

int class_index_sort(struct class_index *c, struct names *v, uint32_t *numbers, size_t n)
{
    uint32_t *place = calloc((size_t)c->n + 1, sizeof *place);

    *v = (struct names){.n = c->n, .items = calloc((size_t)c->n + 1, sizeof *v->items)};
    if (!place || !v->items) {
        free(place);
        return err(ERR_MEMORY, "out of memory for %u names", c->n);
    }
    for (uint32_t i = 0; i < c->n; i++)
        v->items[i] = c->text + c->start[i];
    qsort(v->items, c->n, sizeof *v->items, by_name);
    for (uint32_t i = 0; i < c->n; i++)
        place[*slot_of(c, v->items[i], strlen(v->items[i])) - 1] = i;
    for (size_t i = 0; i < n; i++)
        numbers[i] = place[numbers[i]];
    v->text = c->text;
    c->text = NULL;
    free(place);
    class_index_release(c);
    return 0;
}
