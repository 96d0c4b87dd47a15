/* children.c - the children of a rank, and how much of their sums is there. */
#include "proto/comm/children.h"

#include "core/base/err.h"

void children_begin(struct children *c, const struct tree_node *nodes, size_t n_words)
{
    uint32_t place[TREE_CHILDREN];

    *c = (struct children){.n = tree_children(nodes, place),
                           .sum = pieces_of(n_words, sizeof(int64_t))};
    for (int i = 0; i < c->n; i++)
        c->rank[i] = nodes[place[i]].rank;
}

int children_send(const struct children *c, struct comm *comm, const struct header *h,
                  const struct part *parts, int n, uint32_t rest)
{
    for (int i = 0; i < c->n; i++)
        TRY(comm_send_headed(comm, (int)c->rank[i], h, parts, n, rest));
    return 0;
}

bool children_take(struct children *c, const struct message *m, struct piece_range *piece)
{
    int i = 0;

    while (i < c->n && c->rank[i] != (uint32_t)m->from)
        i++;
    if (i == c->n || m->h.piece != c->n_taken[i] || m->h.piece >= c->sum.n)
        return false;
    *piece = pieces_at(&c->sum, m->h.piece);
    c->n_taken[i]++;
    return true;
}

uint32_t children_taken(const struct children *c)
{
    uint32_t least = c->sum.n;

    for (int i = 0; i < c->n; i++)
        least = c->n_taken[i] < least ? c->n_taken[i] : least;
    return least;
}
