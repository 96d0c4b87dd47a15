/* local.c - ranks as threads of one process, each with a mailbox. */
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

#include "core/base/err.h"
#include "proto/comm/idle.h"
#include "proto/comm/letters.h"

struct mailbox {
    pthread_mutex_t mutex;
    struct letter_queue waiting, spares;
    struct letter *open; /* owned: the one the last poll returned */
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

static int local_send(struct comm *c, int to, const struct header *h, const struct part *parts,
                      int n)
{
    struct mailbox *b = box_of(c, to);
    struct letter *l;

    pthread_mutex_lock(&b->mutex);
    l = letter_get(&b->spares, sizeof *l, letter_size(h));
    pthread_mutex_unlock(&b->mutex);
    if (!l)
        return ERR_MEMORY;
    l->peer = c->rank;
    letter_fill(l, h, parts, n);
    pthread_mutex_lock(&b->mutex);
    letter_queue_put(&b->waiting, l);
    pthread_mutex_unlock(&b->mutex);
    idle_poke(&b->idle);
    return 0;
}

static int local_poll(struct comm *c, struct message *m)
{
    struct mailbox *b = box_of(c, c->rank);

    pthread_mutex_lock(&b->mutex);
    if (b->open)
        letter_queue_put(&b->spares, b->open);
    b->open = b->waiting.first ? letter_queue_take(&b->waiting, &b->waiting.first) : NULL;
    pthread_mutex_unlock(&b->mutex);
    if (!b->open)
        return 0;
    backoff_busy(&b->idle.backoff);
    letter_read(b->open, m);
    return 1;
}

static void local_idle(struct comm *c)
{
    if (c->awake)
        sched_yield();
    else
        idle_wait(&box_of(c, c->rank)->idle);
}

static void local_poke(struct comm *c)
{
    idle_poke(&box_of(c, c->rank)->idle);
}

static void box_init(struct mailbox *b)
{
    pthread_mutex_init(&b->mutex, NULL);
    idle_init(&b->idle);
    letter_queue_init(&b->waiting);
    letter_queue_init(&b->spares);
}

static void box_release(struct mailbox *b)
{
    if (b->open)
        letter_queue_put(&b->spares, b->open);
    letter_queue_release(&b->waiting);
    letter_queue_release(&b->spares);
    idle_release(&b->idle);
    pthread_mutex_destroy(&b->mutex);
}

/* The last end that closes frees the hub: the others may still read what an earlier one has
 * sent. */
static void local_close(struct comm *c)
{
    struct hub *h = c->state;
    int open;

    pthread_mutex_lock(&h->mutex);
    open = --h->open;
    pthread_mutex_unlock(&h->mutex);
    if (open > 0)
        return;
    for (int i = 0; i < h->n; i++)
        box_release(&h->boxes[i]);
    pthread_mutex_destroy(&h->mutex);
    free(h);
}

static int local_open(struct comm *ends, int n)
{
    struct hub *h = calloc(1, sizeof *h + (size_t)n * sizeof *h->boxes);

    if (!h)
        return err(ERR_MEMORY, "no memory for %d mailboxes", n);
    h->n = h->open = n;
    pthread_mutex_init(&h->mutex, NULL);
    for (int i = 0; i < n; i++) {
        box_init(&h->boxes[i]);
        ends[i] = (struct comm){.rank = i, .size = n, .state = h};
    }
    return 0;
}

const struct comm_ops comm_local = {
    .name = "local",
    .one_process = true,
    .open = local_open,
    .send = local_send,
    .poll = local_poll,
    .idle = local_idle,
    .poke = local_poke,
    .close = local_close,
};
