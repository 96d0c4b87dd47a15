/* comm.c - calls the functions of a transport. */
#include "proto/comm/comm.h"

#define XXH_INLINE_ALL /* the library is built for the oldest processors: a third of the speed */
#include <xxhash.h>

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

uint32_t comm_checksum(const struct part *parts, int n)
{
    XXH3_state_t state;

    XXH3_64bits_reset(&state);
    for (int i = 0; i < n; i++)
        if (parts[i].n > 0)
            XXH3_64bits_update(&state, parts[i].bytes, parts[i].n);
    return (uint32_t)XXH3_64bits_digest(&state);
}

static uint32_t head_checksum(const struct header *h, const void *head)
{
    struct header bare = *h;

    bare.checksum = 0;
    return comm_checksum((struct part[]){{&bare, sizeof bare}, {head, h->head}}, 2);
}

/* head: bytes of the first part that are its. */
static int send_sealed(struct comm *c, int to, const struct header *h, const struct part *parts,
                       int n, uint32_t head, uint32_t rest)
{
    struct header full = *h;

    full.magic = HEADER_MAGIC;
    full.head = head;
    full.size = 0;
    for (int i = 0; i < n; i++)
        full.size += parts[i].n;
    full.checksum = rest ^ head_checksum(&full, n > 0 ? parts[0].bytes : NULL);
    return c->ops->send(c, to, &full, parts, n);
}

int comm_send(struct comm *c, int to, const struct header *h, const struct part *parts, int n)
{
    return send_sealed(c, to, h, parts, n, 0, comm_checksum(parts, n));
}

int comm_send_headed(struct comm *c, int to, const struct header *h, const struct part *parts,
                     int n, uint32_t rest)
{
    return send_sealed(c, to, h, parts, n, (uint32_t)parts[0].n, rest);
}

uint32_t comm_rest(const struct message *m)
{
    return m->h.checksum ^ head_checksum(&m->h, m->body);
}

static bool is_damaged(const struct message *m)
{
    const char *body = m->body;
    struct part rest;

    if (m->h.head > m->h.size)
        return true;
    rest = (struct part){body + m->h.head, m->h.size - m->h.head};
    return comm_rest(m) != comm_checksum(&rest, 1);
}

int comm_poll(struct comm *c, struct message *m)
{
    int code = c->ops->poll(c, m);

    if (code <= 0)
        return code;
    if (m->h.magic != HEADER_MAGIC)
        return err(ERR_DATA, "rank %d sent a message of an unknown kind", m->from);
    if (is_damaged(m))
        return err(ERR_DAMAGED, "a message of rank %d has come damaged", m->from);
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
