/* local.c - ranks as threads: a mailbox each. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "proto/comm/comm.h"
#include "proto/comm/idle.h"

struct letter {
    struct letter *next;
    int from;
    struct header h;
    size_t room;
    uint8_t *body; /* owned */
};

struct mailbox {
    pthread_mutex_t mutex;
    struct letter *first, **last; /* waiting, in order */
    struct letter *spare;         /* read, to be used again */
    struct letter *open;          /* the one the last poll returned */
    struct idle idle;
};

struct hub { /* shared by all ends */
    pthread_mutex_t mutex;
    int n, open;
    struct mailbox boxes[];
};

static struct mailbox *box_of(struct comm *c, int rank)
{
    return &((struct hub *)c->state)->boxes[rank];
}

/* A letter with room for n bytes, an old one where it fits. Called with the box locked. */
static struct letter *letter_get(struct mailbox *b, size_t n)
{
    struct letter *l = NULL;

    for (struct letter **p = &b->spare; *p && !l; p = l ? p : &(*p)->next)
        if ((*p)->room >= n) {
            l = *p;
            *p = l->next;
        }
    if (l)
        return l;
    l = calloc(1, sizeof *l);
    if (l && !(l->body = malloc(n ? n : 1))) {
        free(l);
        return NULL;
    }
    if (l)
        l->room = n;
    return l;
}

static int local_send(struct comm *c, int to, const struct header *h, const struct part *parts,
                      int n)
{
    struct mailbox *b = box_of(c, to);
    struct letter *l;
    size_t at = 0;

    pthread_mutex_lock(&b->mutex);
    l = letter_get(b, h->size);
    if (l) {
        l->from = c->rank;
        l->h = *h;
        l->next = NULL;
        for (int i = 0; i < n; at += parts[i++].n)
            memcpy(l->body + at, parts[i].bytes, parts[i].n);
        *b->last = l;
        b->last = &l->next;
    }
    pthread_mutex_unlock(&b->mutex);
    idle_poke(&b->idle);
    return l ? 0 : err(ERR_MEMORY, "no memory for a message of %zu bytes", (size_t)h->size);
}

static int local_poll(struct comm *c, struct message *m)
{
    struct mailbox *b = box_of(c, c->rank);
    struct letter *l;

    pthread_mutex_lock(&b->mutex);
    if (b->open) {
        b->open->next = b->spare;
        b->spare = b->open;
    }
    l = b->open = b->first;
    if (l && !(b->first = l->next))
        b->last = &b->first;
    pthread_mutex_unlock(&b->mutex);
    if (!l)
        return 0;
    idle_busy(&b->idle);
    *m = (struct message){l->from, l->h, l->body};
    return 1;
}

static void local_idle(struct comm *c)
{
    idle_wait(&box_of(c, c->rank)->idle);
}

static void local_poke(struct comm *c)
{
    idle_poke(&box_of(c, c->rank)->idle);
}

static void letters_free(struct letter *l)
{
    while (l) {
        struct letter *next = l->next;

        free(l->body);
        free(l);
        l = next;
    }
}

static void hub_free(struct hub *h)
{
    for (int i = 0; i < h->n; i++) {
        letters_free(h->boxes[i].first);
        letters_free(h->boxes[i].spare);
        if (h->boxes[i].open)
            h->boxes[i].open->next = NULL;
        letters_free(h->boxes[i].open);
        idle_release(&h->boxes[i].idle);
        pthread_mutex_destroy(&h->boxes[i].mutex);
    }
    pthread_mutex_destroy(&h->mutex);
    free(h);
}

static void local_close(struct comm *c)
{
    struct hub *h = c->state;
    int open;

    pthread_mutex_lock(&h->mutex);
    open = --h->open;
    pthread_mutex_unlock(&h->mutex);
    if (open == 0)
        hub_free(h);
}

static const struct comm_ops local = {
    .name = "local",
    .send = local_send,
    .poll = local_poll,
    .idle = local_idle,
    .poke = local_poke,
    .close = local_close,
};

int comm_open_local(struct comm *ends, int n)
{
    struct hub *h = calloc(1, sizeof *h + (size_t)n * sizeof *h->boxes);

    if (!h)
        return err(ERR_MEMORY, "no memory for %d mailboxes", n);
    h->n = h->open = n;
    pthread_mutex_init(&h->mutex, NULL);
    for (int i = 0; i < n; i++) {
        pthread_mutex_init(&h->boxes[i].mutex, NULL);
        idle_init(&h->boxes[i].idle);
        h->boxes[i].last = &h->boxes[i].first;
        ends[i] = (struct comm){&local, i, n, h};
    }
    return 0;
}
