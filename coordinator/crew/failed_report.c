/* failed_report.c - failed tasks: their count is in the sum, their slots come beside it. */
#include "coordinator/crew/failed_report.h"

#include <math.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "proto/wire.h"

void failed_report_begin(struct failed_report *f)
{
    failed_set_clear(&f->slots);
    f->since = 0;
}

int failed_report_take(struct failed_report *f, const struct message *m, uint32_t n_tasks)
{
    struct failed_set s;
    int code = wire_unpack_failed(m->body, m->h.size, &s);

    if (code < 0)
        return err_within(code, "rank %d", m->from);
    if (s.count > n_tasks || (s.n > 0 && s.slot[s.n - 1] >= n_tasks))
        return err(ERR_DATA, "rank %d reports %zu failed tasks up to slot %u, the round has %u",
                   m->from, (size_t)s.count, s.n ? s.slot[s.n - 1] : 0, n_tasks);
    failed_set_merge(&f->slots, &s);
    return 0;
}

bool failed_report_awaited(struct failed_report *f, const struct round_sum *t, double patience)
{
    double now, failed = round_sum_read(t, METRIC_FAILED);

    /* tasks that several ranks reported are in the count twice, in the set once */
    if (failed <= (double)f->slots.count && fmin(failed, FAILED_SET_MAX) <= f->slots.n)
        return false;
    now = clock_seconds();
    if (f->since == 0)
        f->since = now;
    return now - f->since < patience;
}
