/* sums.c - the sum of a round goes up the tree, piece by piece. */
#include <string.h>

#include "core/base/err.h"
#include "proto/comm/words.h"
#include "proto/wire.h"
#include "worker/serve_internal.h"

_Static_assert(PIECE_GRAIN % WORDS_BLOCK == 0, "a piece of a sum is packed by itself");

/* This rank's own total still stands in its threads. */
int worker_on_gather(struct worker *w, const struct message *m)
{
    const struct tree_node *tree;

    if (!worker_is_current(w, m) || m->h.attempt <= w->round.attempt)
        return 0;
    TRY(worker_tree(w, m, &tree));
    w->round = m->h;
    TRY(worker_enter(w, m, tree));
    children_begin(&w->children, tree, w->total.n_words);
    return 0;
}

int worker_on_sum(struct worker *w, const struct message *m)
{
    int added;

    if (!worker_is_current(w, m) || m->h.attempt != w->round.attempt)
        return 0;
    added = children_add(&w->children, m, w->words);
    if (added > 0 && m->h.worked > w->round.worked)
        w->round.worked = m->h.worked;
    return added;
}

/* Names the tasks that were set aside, if any. */
static int tell_failed(struct worker *w)
{
    struct failed_set failed = pool_failed(&w->pool);

    if (failed.count == 0)
        return 0;
    TRY(wire_pack_failed(&failed, &w->out));
    return worker_say_buffer(w, MESSAGE_FAILED);
}

/* Packs a piece of what the children sent and of this rank's own. If one thread has all that is its
 * own, that goes from there into the message. */
static size_t pack_piece(struct worker *w, struct piece_range s)
{
    const int64_t *own = pool_only_total(&w->pool);
    int64_t *words = w->words + s.from;

    if (own)
        return words_pack(own + s.from, w->children.n > 0 ? words : NULL, s.n, w->packed);
    if (w->children.n == 0)
        memset(words, 0, s.n * sizeof *words);
    pool_collect(&w->pool, &w->total, s.from, s.n);
    return words_pack(words, NULL, s.n, w->packed);
}

static int send_piece(struct worker *w, uint32_t i)
{
    struct part body = {w->packed, pack_piece(w, pieces_at(&w->children.sum, i))};

    w->round.piece = i;
    return worker_say(w, w->parent, MESSAGE_SUM, &body, 1);
}

int worker_send_sum(struct worker *w)
{
    uint64_t worked = (uint64_t)(1e9 * (w->idle_since - w->begun));
    uint32_t n = children_taken(&w->children);

    if (w->n_sent == n)
        return 0;
    if (w->n_tasks > 0 && worked > w->round.worked)
        w->round.worked = worked;
    if (w->n_sent == 0)
        TRY(tell_failed(w));
    for (; w->n_sent < n; w->n_sent++)
        TRY(send_piece(w, w->n_sent));
    w->round.piece = 0;
    return 0;
}
