/* comm.c - the calls, whoever carries the bytes. */
#include "proto/comm/comm.h"

#include <string.h>

#include "core/base/err.h"

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
        return err(ERR_DATA, "rank %d sent a message that is none of ours", m->from);
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
    return strcmp(c->ops->name, "local") == 0;
}
