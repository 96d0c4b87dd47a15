/* audit.c - slot s is audited if a whole number lies between s and s + 1 shares past the start. */
#include "core/plan/audit.h"

#include "core/math/rng.h"

enum { POINT = 32 }; /* binary places of a share */

static uint64_t share_of(const struct config *c)
{
    return (uint64_t)(c->cluster.audit * 0x1p32 + 0.5);
}

/* Audited slots below `slot`. */
static uint32_t before(const struct audit *a, uint32_t slot)
{
    return (uint32_t)((slot * a->share + a->start) >> POINT);
}

struct audit audit_of_round(const struct config *c, int stage, uint64_t round, uint32_t n_tasks)
{
    struct audit a = {.share = share_of(c), .n_tasks = n_tasks};
    struct rng r;

    rng_init(&r, (uint64_t)c->run.seed, RNG_AUDIT, (uint32_t)round, (uint32_t)stage);
    a.start = rng_u32(&r);
    a.n_audits = before(&a, n_tasks);
    return a;
}

bool audit_has(const struct audit *a, uint32_t slot)
{
    return before(a, slot + 1) > before(a, slot);
}

uint32_t audit_of_slot(const struct audit *a, uint32_t slot)
{
    return before(a, slot);
}

uint32_t audit_slot(const struct audit *a, uint32_t i)
{
    uint64_t whole = ((uint64_t)i + 1) << POINT;

    return (uint32_t)((whole - a->start + a->share - 1) / a->share) - 1;
}

uint32_t audits_most(const struct setup *s)
{
    uint64_t most = 0;

    for (int i = 0; i < s->n_stages; i++) {
        uint64_t end = s->stages[i].n_tasks * share_of(s->config) + UINT32_MAX;

        most = end > most ? end : most;
    }
    return share_of(s->config) ? (uint32_t)(most >> POINT) : 0;
}
