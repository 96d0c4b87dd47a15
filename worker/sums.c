/* sums.c - the sum of a round goes up the tree, piece by piece. */
#include "core/base/err.h"
#include "proto/wire.h"
#include "proto/words.h"
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
    w->total = round_sum_begin(w->words, w->total.n, w->total.n_metrics);
    children_begin(&w->children, tree, w->total.n_words);
    return 0;
}

int worker_on_sum(struct worker *w, const struct message *m)
{
    struct piece_range piece;

    if (!worker_is_current(w, m) || m->h.attempt != w->round.attempt ||
        !children_take(&w->children, m, &piece))
        return 0;
    if (words_merge(m->body, m->h.size, w->words + piece.from, piece.n) < 0)
        return err(ERR_DATA, "rank %d sent %s", m->from, err_text());
    if (m->h.worked > w->round.worked)
        w->round.worked = m->h.worked;
    return 0;
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

static int send_piece(struct worker *w, uint32_t i)
{
    struct piece_range s = pieces_at(&w->children.sum, i);
    struct part body[] = {{w->packed, words_head(s.n)}, {w->words + s.from, 0}};

    pool_collect(&w->pool, &w->total, s.from, s.n);
    body[1].n = words_pack(w->words + s.from, s.n, w->packed);
    w->round.piece = i;
    return worker_say(w, w->parent, MESSAGE_SUM, body, 2);
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
