/* params.c - the parameters of a round come down the tree, piece by piece, and open it. */
#include <string.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/plan/task_kind.h"
#include "worker/serve_internal.h"

/* What draws the tasks of the round that a header begins. */
static int sampler_view(const struct worker *w, const struct header *h, struct sampler *s)
{
    const struct stage *stage;

    if (h->stage >= (uint32_t)w->setup->n_stages)
        return err(ERR_DATA, "parameters of stage %u, which this configuration does not have",
                   h->stage);
    stage = &w->setup->stages[h->stage];
    if (!task_kind_of_round(stage, (enum purpose)h->purpose))
        return err(ERR_DATA, "parameters for purpose %u of stage %u, which has no such tasks",
                   h->purpose, h->stage);
    if (h->data >= (uint32_t)w->setup->config->n_data)
        return err(ERR_DATA, "a round on data section %u, which this configuration does not have",
                   h->data);
    *s = sampler_of_round(w->setup, stage, (enum purpose)h->purpose, (int)h->data, h->round, 0);
    return 0;
}

/* How many tasks the round has: behind the tree; *head grows by what tells it. */
static int deal_view(const struct message *m, struct sampler *s, struct deal *deal, size_t *head)
{
    uint32_t most;

    if (m->h.size < *head + sizeof *deal)
        return err(ERR_DATA, "parameters of %zu bytes", (size_t)m->h.size);
    memcpy(deal, (const char *)m->body + *head, sizeof *deal);
    *head += sizeof *deal;
    s->amount = deal->amount;
    most = task_kinds_count(s->stage, s->purpose, s->amount);
    if (deal->n_tasks < 1 || deal->n_tasks > most)
        return err(ERR_DATA, "a round of %u tasks of stage %d, which has %u at most", deal->n_tasks,
                   s->stage->index, most);
    return 0;
}

/* How the parameters of a round, and the anchor's if they come along, are cut. */
static int plan_params(struct worker *w, const struct header *h, const struct stage *stage,
                       const struct task_kind *kind)
{
    const struct stage *anchor = stage->anchor >= 0 ? &w->setup->stages[stage->anchor] : NULL;
    size_t n_anchor = anchor ? anchor->net.layout.n : 0;

    if (h->anchor != 0 && h->anchor != n_anchor)
        return err(ERR_DATA, "an anchor of %u parameters, expected %zu", h->anchor, n_anchor);
    if (anchor && kind->anchor && h->anchor == 0 && w->anchored != stage->index)
        return err(ERR_DATA, "parameters of stage %d without its anchor's", stage->index);
    w->n_theta = kind->gives == GIVES_STATE ? 0 : stage->model.n;
    w->params = pieces_of(w->n_theta + h->anchor, sizeof(real));
    w->n_params = 0;
    return 0;
}

int worker_take_tasks(struct worker *w, struct slots tasks)
{
    if (tasks.n == 0)
        return 0;
    if (tasks.n > w->n_slots || tasks.first > w->n_slots - tasks.n)
        return err(ERR_DATA, "%u tasks from slot %u of a round of %u", tasks.n, tasks.first,
                   w->n_slots);
    TRY(pool_push(&w->pool, tasks));
    w->n_tasks += (int)tasks.n;
    return 0;
}

/* The parameters are whole. */
static int open_round(struct worker *w)
{
    w->round = w->coming;
    if (w->round.anchor > 0)
        w->anchored = (int)w->round.stage;
    w->open = true;
    w->wanted = false;
    w->n_slots = w->deal.n_tasks + w->deal.audits;
    w->last = w->deal.dealt == w->n_slots;
    w->n_tasks = 0;
    w->n_reported = -1;
    w->idle_since = 0;
    w->begun = clock_seconds();
    w->awake_until = 0;
    return worker_take_tasks(w, w->first);
}

/* The next piece: `body` of `size` bytes. */
static int take_piece(struct worker *w, const char *body, size_t size)
{
    struct piece_range piece = pieces_at(&w->params, w->n_params);
    struct piece_range theta = piece_within(piece, 0, w->n_theta);
    struct piece_range anchor = piece_within(piece, w->n_theta, w->coming.anchor);

    if (size != piece.n * sizeof(real))
        return err(ERR_DATA, "parameters of %zu bytes, expected %zu", size, piece.n * sizeof(real));
    if (anchor.n > 0)
        w->anchored = -1; /* until it is whole */
    memcpy(w->theta + theta.from, body, theta.n * sizeof(real));
    memcpy(w->anchor + anchor.from, body + theta.n * sizeof(real), anchor.n * sizeof(real));
    w->n_params++;
    return w->n_params == w->params.n ? open_round(w) : 0;
}

/* Both sides know which tasks are done twice, if any are. */
static int begin_audit(struct worker *w, const struct header *h)
{
    struct audit a = audit_of_round(w->setup->config, (int)h->stage, h->round, w->deal.n_tasks);

    if (w->deal.audits == 0)
        return 0;
    if (w->deal.audits != a.n_audits || 2 * a.n_audits > w->pool.seen.room)
        return err(ERR_DATA, "a round with %u tasks done twice, expected %u", w->deal.audits,
                   a.n_audits);
    pool_audit(&w->pool, &a);
    return 0;
}

/* The tree, the deal, and the first piece. */
static int begin_round(struct worker *w, const struct message *m)
{
    struct sampler sampler;
    const struct tree_node *tree;
    size_t head;

    if (m->h.epoch <= w->coming.epoch)
        return 0; /* an older round's, held up on its way */
    TRY(sampler_view(w, &m->h, &sampler));
    TRY(worker_tree(w, m, &tree));
    head = tree_bytes(tree);
    TRY(deal_view(m, &sampler, &w->deal, &head));
    TRY(worker_enter(w, m, tree));
    w->open = false;
    w->coming = m->h;
    w->first = tree->tasks;
    pool_begin(&w->pool, &sampler, w->theta, w->anchor);
    TRY(begin_audit(w, &m->h));
    TRY(plan_params(w, &m->h, sampler.stage, w->pool.kind));
    w->total =
        round_sum_over(w->words, w->pool.kind->gives == GIVES_GRADIENT ? sampler.stage->model.n : 0,
                       sampler.stage->n_metrics);
    children_begin(&w->children, tree, w->total.n_words);
    return take_piece(w, (const char *)m->body + head, m->h.size - head);
}

int worker_on_params(struct worker *w, const struct message *m)
{
    struct part parts[] = {{0}, {m->body, m->h.size}};

    if (m->h.piece == 0)
        return begin_round(w, m);
    if (m->h.epoch != w->coming.epoch || m->from != w->parent)
        return 0;
    if (m->h.piece != w->n_params || w->n_params == w->params.n)
        return err(ERR_DATA, "piece %u of the parameters, expected %u", m->h.piece, w->n_params);
    TRY(children_send(&w->children, w->comm, &m->h, parts, 2, comm_rest(m)));
    return take_piece(w, m->body, m->h.size);
}
