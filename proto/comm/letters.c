/* letters.c - queues of messages, and memory that is used again. */
#include "proto/comm/letters.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"

void letter_queue_init(struct letter_queue *q)
{
    *q = (struct letter_queue){NULL, &q->first};
}

static void letter_free(struct letter *l)
{
    free(l->bytes);
    free(l);
}

void letter_queue_release(struct letter_queue *q)
{
    while (q->first)
        letter_free(letter_queue_take(q, &q->first));
}

void letter_queue_put(struct letter_queue *q, struct letter *l)
{
    l->next = NULL;
    *q->last = l;
    q->last = &l->next;
}

struct letter *letter_queue_take(struct letter_queue *q, struct letter **place)
{
    struct letter *l = *place;

    *place = l->next;
    if (!l->next)
        q->last = place;
    return l;
}

static int letter_reserve(struct letter *l, size_t room)
{
    uint8_t *bytes;

    if (room <= l->room)
        return 0;
    bytes = realloc(l->bytes, room);
    if (!bytes)
        return ERR_MEMORY;
    l->bytes = bytes;
    l->room = room;
    return 0;
}

/* The smallest spare with `room` bytes; if there is none, any; NULL if there are no spares. */
static struct letter **spare_find(struct letter_queue *spares, size_t room)
{
    struct letter **best = NULL;

    for (struct letter **p = &spares->first; *p; p = &(*p)->next)
        if (!best || ((*p)->room >= room && ((*best)->room < room || (*p)->room < (*best)->room)))
            best = p;
    return best;
}

struct letter *letter_get(struct letter_queue *spares, size_t each, size_t room)
{
    struct letter **spare = spare_find(spares, room);
    struct letter *l = spare ? letter_queue_take(spares, spare) : calloc(1, each);

    if (l && letter_reserve(l, room) == 0)
        return l;
    if (l)
        letter_free(l);
    err(ERR_MEMORY, "no memory for a message of %zu bytes", room);
    return NULL;
}

void letter_fill(struct letter *l, const struct header *h, const struct part *parts, int n)
{
    size_t at = sizeof *h;

    memcpy(l->bytes, h, sizeof *h);
    for (int i = 0; i < n; at += parts[i++].n)
        if (parts[i].n > 0)
            memcpy(l->bytes + at, parts[i].bytes, parts[i].n);
}

void letter_read(const struct letter *l, struct message *m)
{
    *m = (struct message){.from = l->peer, .body = l->bytes + sizeof m->h};
    memcpy(&m->h, l->bytes, sizeof m->h);
}
