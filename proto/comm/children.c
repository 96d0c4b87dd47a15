/* children.c - the children of a rank, and how much of their sums is there. */
#include "proto/comm/children.h"

#include <string.h>

#include "core/base/err.h"
#include "proto/comm/words.h"

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

/* No child has sent this piece yet. */
static bool is_first(const struct children *c, uint32_t piece)
{
    for (int i = 0; i < c->n; i++)
        if (c->n_taken[i] > piece)
            return false;
    return true;
}

int children_add(struct children *c, const struct message *m, int64_t *words)
{
    struct piece_range piece;
    int i = 0;

    while (i < c->n && c->rank[i] != (uint32_t)m->from)
        i++;
    if (i == c->n || m->h.piece != c->n_taken[i] || m->h.piece >= c->sum.n)
        return 0;
    piece = pieces_at(&c->sum, m->h.piece);
    if (is_first(c, m->h.piece))
        memset(words + piece.from, 0, piece.n * sizeof *words);
    if (words_merge(m->body, m->h.size, words + piece.from, piece.n) < 0)
        return err(ERR_DATA, "rank %d sent %s", m->from, err_text());
    c->n_taken[i]++;
    return 1;
}

uint32_t children_taken(const struct children *c)
{
    uint32_t least = c->sum.n;

    for (int i = 0; i < c->n; i++)
        least = c->n_taken[i] < least ? c->n_taken[i] : least;
    return least;
}
