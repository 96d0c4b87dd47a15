/* live_parts.c - what the live source is made of: kept events, marks. */
#include <stdlib.h>
#include <string.h>

#include "observer/live_internal.h"

/* ---- kept events ---- */

bool list_add(struct list *l, zmq_msg_t *message, const struct header *h)
{
    if (l->n == l->room) {
        size_t room = l->room ? 2 * l->room : 256;
        struct held *items = realloc(l->items, room * sizeof *items);

        if (items) {
            l->items = items;
            l->room = room;
        }
    }
    if (l->n == l->room || l->n == HELD_MAX || l->bytes > HELD_BYTES) {
        list_drop(l, l->n);
        return false;
    }
    l->items[l->n].header = *h;
    l->bytes += zmq_msg_size(message);
    zmq_msg_init(&l->items[l->n].message);
    zmq_msg_move(&l->items[l->n++].message, message);
    return true;
}

void list_drop(struct list *l, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        l->bytes -= zmq_msg_size(&l->items[i].message);
        zmq_msg_close(&l->items[i].message);
    }
    for (size_t i = n; n > 0 && i < l->n; i++) {
        zmq_msg_init(&l->items[i - n].message);
        zmq_msg_move(&l->items[i - n].message, &l->items[i].message);
        l->items[i - n].header = l->items[i].header;
        zmq_msg_close(&l->items[i].message);
    }
    l->n -= n;
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
