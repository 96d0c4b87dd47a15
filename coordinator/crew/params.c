/* params.c - how a round begins: its members, and the parameters on their way to them. */
#include <string.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/clock.h"
#include "core/base/err.h"

static void worker_begin(struct crew_worker *worker)
{
    worker->proved = worker->member = false;
    worker->last = worker->out = worker->finished = worker->helped = false;
    worker->first = (struct slots){0};
    worker->given = worker->chunk = 0;
}

static size_t anchor_size(const struct crew *c, const struct stage *s)
{
    return s->anchor >= 0 ? c->setup->stages[s->anchor].net.layout.n : 0;
}

const struct task_kind *round_kind(const struct round *r)
{
    return task_kind_of_round(r->stage, r->purpose);
}

struct sampler round_sampler(const struct setup *setup, const struct round *r)
{
    return sampler_of_round(setup, r->stage, r->purpose, r->data, r->round, r->amount);
}

void round_begin(struct crew *c, const struct round *r, struct transaction *p)
{
    const struct task_kind *kind = round_kind(r);

    c->epoch++;
    failed_report_begin(&c->failed);
    p->h = (struct header){.epoch = c->epoch,
                           .stage = (uint32_t)r->stage->index,
                           .round = r->round,
                           .purpose = r->purpose,
                           .data = (uint32_t)r->data};
    p->begun = p->moved = clock_seconds();
    memset(c->owner, 0, r->n_tasks * sizeof *c->owner);
    c->audit.plan = (struct audit){0};
    c->audit.n_left = c->audit.n_awaited = 0;
    for (int i = 1; i < c->comm->size; i++)
        worker_begin(&c->workers[i]);
    for (int i = 1; i < c->n_members; i++) {
        struct crew_worker *worker = &c->workers[c->members[i]];

        worker->member = worker->behind = true;
        if (r->anchor && worker->anchored != 1 + r->stage->index)
            p->h.anchor = (uint32_t)anchor_size(c, r->stage);
        p->n_threads += (int)worker->hello.threads;
    }
    domains_begin(p);
    *p->total = round_sum_over(c->words, kind->gives == GIVES_GRADIENT ? r->stage->model.n : 0,
                               r->stage->n_metrics);
}

/* Writes into the tree which tasks each rank has; returns how many all have. Tasks that step models
 * wait for their models: a rank asks for them. */
static uint32_t tell_first(const struct transaction *p)
{
    struct crew *c = p->crew;
    uint32_t dealt = 0;

    for (uint32_t i = 1; i <= c->tree->below && !p->r->domains; i++) {
        c->tree[i].tasks = c->workers[c->tree[i].rank].first;
        dealt += c->tree[i].tasks.n;
    }
    return dealt;
}

/* PARAMS: the receiver's tree, a struct deal and the first piece of what follows; then the other
 * pieces of it: theta, and the anchor's parameters if a member lacks them. */
static int send_piece(struct transaction *p, const struct deal *deal, struct piece_range piece,
                      size_t n)
{
    struct piece_range theta = piece_within(piece, 0, n),
                       anchor = piece_within(piece, n, p->h.anchor);
    struct part parts[] = {
        {0},
        {deal, p->h.piece == 0 ? sizeof *deal : 0},
        {p->r->theta + theta.from, theta.n * sizeof(real)},
        {p->r->anchor + anchor.from, anchor.n * sizeof(real)},
    };

    if (p->r->settle)
        p->r->settle(p->r->context, theta.from + theta.n);

    uint32_t rest = comm_checksum(parts + 1, 3);

    if (p->h.piece == 0)
        return tree_send(p->crew->comm, &p->h, p->crew->tree, parts, 4, rest);
    return children_send(&p->children, p->crew->comm, &p->h, parts, 4, rest);
}

int round_send_params(struct transaction *p)
{
    struct deal deal = {
        .n_tasks = p->r->n_tasks, .amount = p->r->amount, .audits = p->crew->audit.plan.n_audits};
    size_t n = p->r->domains ? 0 : p->r->stage->model.n;
    struct pieces pieces = pieces_of(n + p->h.anchor, sizeof(real));

    round_plant(p, false);
    deal.dealt = tell_first(p);
    p->h.kind = MESSAGE_PARAMS;
    for (p->h.piece = 0; p->h.piece < pieces.n; p->h.piece++)
        TRY(send_piece(p, &deal, pieces_at(&pieces, p->h.piece), n));
    p->h.piece = 0;
    return p->r->sent ? p->r->sent(p->r->context) : 0;
}
