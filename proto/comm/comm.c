/* comm.c - the calls, whichever transport carries the bytes. */
#include "proto/comm/comm.h"

#include "core/base/err.h"
#include "core/base/nearest.h"
#include "core/base/table.h"

int comm_open(const char *transport, struct comm *ends, int n)
{
    const struct comm_ops *ops = table_find(comm_table, transport);
    char hint[NEAREST_HINT];

    if (!ops)
        return err(ERR_USAGE, "unknown transport '%s'%s", transport,
                   table_hint(comm_table, transport, hint));
    TRY(ops->open(ends, n));
    for (int i = 0; i < n; i++)
        ends[i].ops = ops;
    return 0;
}

int comm_send(struct comm *c, int to, const struct header *h, const struct part *parts, int n)
{
    struct header full = *h;

    full.magic = HEADER_MAGIC;
    full.size = 0;
    for (int i = 0; i < n; i++)
        full.size += parts[i].n;
    return c->ops->send(c, to, &full, parts, n);
}

int comm_poll(struct comm *c, struct message *m)
{
    int code = c->ops->poll(c, m);

    if (code > 0 && m->h.magic != HEADER_MAGIC)
        return err(ERR_DATA, "rank %d sent a message of an unknown kind", m->from);
    return code;
}

void comm_idle(struct comm *c)
{
    c->ops->idle(c);
}

void comm_poke(struct comm *c)
{
    c->ops->poke(c);
}

void comm_give_up(struct comm *c, int rank)
{
    if (c->ops->give_up)
        c->ops->give_up(c, rank);
}

void comm_close(struct comm *c)
{
    if (c->ops)
        c->ops->close(c);
    *c = (struct comm){0};
}

bool comm_is_local(const struct comm *c)
{
    return c->ops->one_process;
}
