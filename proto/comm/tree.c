/* tree.c - hosts in a binary tree, and the ranks of each host in another. */
#include "proto/comm/tree.h"

#include "core/base/err.h"

struct plan {
    const uint32_t *ranks, *first;
    uint32_t n_hosts;
    struct tree_node *next; /* where the next node goes */
};

/* Places a rank of a host and everything below it. Other hosts come first, because the way to them
 * is longer. The leader, which adds their sums, has one child in its host. */
static void plant(struct plan *p, uint32_t host, uint32_t place)
{
    struct tree_node *node = p->next++;
    uint32_t n = p->first[host + 1] - p->first[host];

    *node = (struct tree_node){.rank = p->ranks[p->first[host] + place]};
    for (uint32_t i = 1; place == 0 && i <= TREE_ARITY; i++)
        if (TREE_ARITY * host + i < p->n_hosts)
            plant(p, TREE_ARITY * host + i, 0);
    for (uint32_t i = place == 0; i < TREE_ARITY; i++)
        if (TREE_ARITY * place + i < n)
            plant(p, host, TREE_ARITY * place + i);
    node->below = (uint32_t)(p->next - node) - 1;
}

void tree_plant(const uint32_t *ranks, const uint32_t *first, uint32_t n_hosts,
                struct tree_node *nodes)
{
    struct plan p = {ranks, first, n_hosts, nodes};

    plant(&p, 0, 0);
}

size_t tree_bytes(const struct tree_node *nodes)
{
    return (1 + (size_t)nodes->below) * sizeof *nodes;
}

int tree_children(const struct tree_node *nodes, uint32_t child[TREE_CHILDREN])
{
    int n = 0;

    for (uint32_t at = 1; at <= nodes->below; at += 1 + nodes[at].below)
        child[n++] = at;
    return n;
}

/* The nodes below the first are those of its children, few enough, ranks that exist. */
static bool is_whole(const struct tree_node *nodes, int rank, int size)
{
    uint32_t left = nodes->below;
    const struct tree_node *child = nodes + 1;

    for (int n = 0; left > 0; n++) {
        if (n == TREE_CHILDREN || child->below >= left || child->rank == 0 ||
            child->rank >= (uint32_t)size || child->rank == (uint32_t)rank)
            return false;
        left -= 1 + child->below;
        child += 1 + child->below;
    }
    return true;
}

int tree_read(const void *bytes, size_t n, int rank, int size, const struct tree_node **nodes)
{
    const struct tree_node *root = bytes;

    if (n < sizeof *root || root->rank != (uint32_t)rank || root->below >= (uint32_t)size ||
        n < tree_bytes(root) || !is_whole(root, rank, size))
        return err(ERR_DATA, "the tree of a round cannot be read, or is not that of rank %d", rank);
    *nodes = root;
    return 0;
}

int tree_send(struct comm *c, const struct header *h, const struct tree_node *nodes,
              struct part *parts, int n, uint32_t rest)
{
    uint32_t child[TREE_CHILDREN];
    int n_children = tree_children(nodes, child);

    for (int i = 0; i < n_children; i++) {
        const struct tree_node *root = nodes + child[i];

        parts[0] = (struct part){root, tree_bytes(root)};
        TRY(comm_send_headed(c, (int)root->rank, h, parts, n, rest));
    }
    return 0;
}
