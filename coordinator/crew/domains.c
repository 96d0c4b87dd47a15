/* domains.c - domain models: each travels out with its task and comes back stepped. */
#include <string.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/err.h"

static int n_vectors(const struct transaction *p)
{
    return 1 + optim_find(p->r->stage->optim.name)->n_state;
}

void domains_begin(struct transaction *p)
{
    if (p->r->domains)
        memset(p->r->domains->arrived, 0, p->r->n_tasks * sizeof *p->r->domains->arrived);
}

int domains_send(struct transaction *p, int rank, uint32_t slot)
{
    const struct stage *s = p->r->stage;
    const struct domain_models *b = p->r->domains;
    struct header h = p->h;
    struct part parts[8];
    int n = n_vectors(p);

    if (!b)
        return 0;
    h.kind = MESSAGE_STATE;
    h.slot = slot;
    if (slot >= p->r->n_tasks)
        slot = audit_slot(&p->crew->audit.plan, slot - p->r->n_tasks);
    parts[0] = (struct part){b->theta + slot * s->model.n, s->model.n * sizeof(real)};
    for (int i = 1; i < n; i++)
        parts[i] = (struct part){b->state + (size_t)(i - 1) * s->layout.n + slot * s->model.n,
                                 s->model.n * sizeof(real)};
    return comm_send(p->crew->comm, rank, &h, parts, n);
}

/* Takes a model only from the task's owner. If the task went to another rank, that one sends the
 * same. */
int domains_take(struct transaction *p, const struct message *m)
{
    const struct domain_models *b = p->r->domains;
    size_t each = p->r->stage->model.n * (size_t)n_vectors(p);
    uint32_t slot = m->h.slot;

    if (!b || slot >= p->r->n_tasks || m->h.size != each * sizeof(real))
        return err(ERR_DATA, "rank %d sent a model of %zu bytes for task %u, expected %zu", m->from,
                   (size_t)m->h.size, slot, each * sizeof(real));
    if (p->crew->owner[slot] != (uint32_t)m->from)
        return 0;
    memcpy(b->next + slot * each, m->body, each * sizeof(real));
    p->n_arrived += !b->arrived[slot];
    b->arrived[slot] = true;
    return 0;
}

/* True if the sums are complete and models are still on their way. */
bool domains_awaited(const struct transaction *p)
{
    return p->r->domains && p->n_arrived + round_sum_read(p->total, METRIC_FAILED) < p->r->n_tasks;
}
