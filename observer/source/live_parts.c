/* live_parts.c - parts of the live source: events that are held back, marks. */
#include <stdlib.h>
#include <string.h>

#include "observer/source/live_internal.h"

/* ---- kept events ---- */

static bool list_grow(struct list *l)
{
    size_t room = l->room ? 2 * l->room : 256;
    struct held_event *items = realloc(l->items, room * sizeof *items);

    if (!items)
        return false;
    l->items = items;
    l->room = room;
    return true;
}

bool list_add(struct list *l, struct span event, const struct event_header *h)
{
    bool fits = l->n < HELD_MAX && l->bytes <= HELD_BYTES && (l->n < l->room || list_grow(l));
    uint8_t *copy = fits ? malloc(event.n + 1) : NULL;

    if (!copy) {
        list_drop(l, l->n);
        return false;
    }
    memcpy(copy, event.bytes, event.n);
    l->items[l->n++] = (struct held_event){*h, copy, event.n};
    l->bytes += event.n;
    return true;
}

void list_drop(struct list *l, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        l->bytes -= l->items[i].n;
        free(l->items[i].bytes);
    }
    l->n -= n;
    if (n > 0 && l->n > 0)
        memmove(l->items, l->items + n, l->n * sizeof *l->items);
}

void list_free(struct list *l)
{
    list_drop(l, l->n);
    free(l->items);
}

/* ---- marks ---- */

static struct mark *mark_of(struct marks *m, const char *kind)
{
    int i = 0;

    while (i < m->n && strcmp(m->each[i].kind, kind) != 0)
        i++;
    if (i == MARKS || strlen(kind) >= sizeof m->each[i].kind)
        return NULL;
    if (i == m->n)
        strcpy(m->each[m->n++].kind, kind);
    return &m->each[i];
}

static bool is_after(int64_t stage, int64_t round, int64_t old_stage, int64_t old_round)
{
    return stage > old_stage || (stage == old_stage && round > old_round);
}

bool marks_pass(struct marks *m, const struct event *e, bool history)
{
    int64_t stage = event_integer(e, "stage_index", -1), round = event_integer(e, "round", -1);
    struct mark *k = round < 0 ? NULL : mark_of(m, e->kind);

    if (!k)
        return !history || !m->again;
    if (!k->set || is_after(stage, round, k->stage, k->round)) {
        k->set = true;
        k->stage = stage;
        k->round = round;
    }
    return !k->old || is_after(stage, round, k->old_stage, k->old_round);
}

void marks_freeze(struct marks *m)
{
    m->again = true;
    for (struct mark *k = m->each; k < m->each + m->n; k++) {
        k->old = k->set;
        k->old_stage = k->stage;
        k->old_round = k->round;
    }
}
