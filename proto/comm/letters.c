/* letters.c - queues of messages, and a pool of their memory. */
#include "proto/comm/letters.h"

#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"

enum {
    LARGE = 1 << 16, /* bytes of memory above which its use is restricted: ... */
    WASTE = 8,       /* ... to messages that need at least 1 / WASTE of it */
};

void letter_queue_init(struct letter_queue *q)
{
    *q = (struct letter_queue){NULL, &q->first};
}

void letter_free(struct letter *l)
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

/* True if an older letter of the same peer is in the queue. */
static bool must_wait(const struct letter_queue *q, const struct letter *l)
{
    const struct letter *older = q->first;

    while (older != l && older->peer != l->peer)
        older = older->next;
    return older != l;
}

struct letter *letter_queue_take_whole(struct letter_queue *q, bool (*is_whole)(struct letter *l))
{
    for (struct letter **p = &q->first; *p; p = &(*p)->next)
        if (!must_wait(q, *p) && is_whole(*p))
            return letter_queue_take(q, p);
    return NULL;
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

/* Large memory is not used for small messages: the next large one would have to allocate more. */
static bool suits(const struct letter *l, size_t room)
{
    return l->room >= room && (l->room <= LARGE || l->room / WASTE <= room);
}

/* The smallest spare that fits; otherwise the largest smaller one, to be enlarged; otherwise NULL.
 * So small and large messages use different memory. */
static struct letter **spare_find(struct letter_queue *spares, size_t room)
{
    struct letter **best = NULL, **most = NULL;

    for (struct letter **p = &spares->first; *p; p = &(*p)->next) {
        if (suits(*p, room) && (!best || (*p)->room < (*best)->room))
            best = p;
        if ((*p)->room < room && (!most || (*p)->room > (*most)->room))
            most = p;
    }
    return best ? best : most;
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
