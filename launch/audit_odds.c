/* audit_odds.c - a rank is named at its first error in a task that is done twice. */
#include "launch/audit_odds.h"

#include <math.h>
#include <stdio.h>

#define ERRS_EVERY 10000 /* tasks: the rank that the odds are of */

/* Its own tasks of a round that another rank does too. That it errs in its audits of others' tasks
 * is seen as well, but how many these are depends on who is idle first. */
static double seen_twice(const struct audit_rate *r)
{
    return r->share * r->tasks / r->n_workers;
}

double audit_odds(const struct audit_rate *r, double rounds)
{
    return -expm1(seen_twice(r) * rounds * log1p(-r->error));
}

double audit_rounds(const struct audit_rate *r, double p)
{
    return log1p(-p) / (seen_twice(r) * log1p(-r->error));
}

/* With 2, 16, 128 ... workers, as long as they have a task each. Returns false beyond. */
static bool rate_of(const struct setup *s, const struct stage *stage, int i, struct audit_rate *r)
{
    *r = (struct audit_rate){s->config->cluster.audit, 1.0 / ERRS_EVERY, stage->n_tasks,
                             2 * pow(8, i)};
    return i == 0 || r->n_workers <= r->tasks;
}

static void print_row(const struct stage *stage, const struct audit_rate *r)
{
    printf("  stage '%s', %.0f workers: within %.0f rounds with probability 0.5, within %.0f with "
           "0.95; %.3g by its end\n",
           stage->config->name, r->n_workers, ceil(audit_rounds(r, 0.5)),
           ceil(audit_rounds(r, 0.95)), audit_odds(r, (double)stage->config->rounds));
}

void audit_print(const struct setup *s)
{
    struct audit_rate r;

    if (s->config->cluster.audit <= 0)
        return;
    printf("audit: %g of a round's tasks are done twice; a rank that errs once in %d tasks is "
           "named, at the latest,\n",
           s->config->cluster.audit, ERRS_EVERY);
    for (int i = 0; i < s->n_stages; i++)
        for (int k = 0; rate_of(s, &s->stages[i], k, &r); k++)
            print_row(&s->stages[i], &r);
}

json_t *audit_json(const struct setup *s)
{
    struct audit_rate r;
    json_t *rows = json_array();

    for (int i = 0; i < s->n_stages; i++)
        for (int k = 0; rate_of(s, &s->stages[i], k, &r); k++)
            json_array_append_new(
                rows, json_pack("{s:s, s:f, s:f, s:f, s:f}", "stage", s->stages[i].config->name,
                                "workers", r.n_workers, "rounds_50", audit_rounds(&r, 0.5),
                                "rounds_95", audit_rounds(&r, 0.95), "by_end",
                                audit_odds(&r, (double)s->stages[i].config->rounds)));
    return json_pack("{s:f, s:i, s:o}", "share", s->config->cluster.audit, "errs_every", ERRS_EVERY,
                     "odds", rows);
}
