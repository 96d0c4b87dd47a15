/* tree.c - arithmetic on positions. */
#include "proto/comm/tree.h"

int tree_position(const struct tree *t, int rank)
{
    for (int p = 0; p < t->n; p++)
        if (t->members[p] == (uint32_t)rank)
            return p;
    return -1;
}

int tree_parent(const struct tree *t, int rank)
{
    int p = tree_position(t, rank);

    return p > 0 ? (int)t->members[(p - 1) / TREE_ARITY] : -1;
}

int tree_children(const struct tree *t, int rank, int child[TREE_ARITY])
{
    int p = tree_position(t, rank), n = 0;

    for (int i = 1; p >= 0 && i <= TREE_ARITY; i++)
        if (TREE_ARITY * p + i < t->n)
            child[n++] = (int)t->members[TREE_ARITY * p + i];
    return n;
}
