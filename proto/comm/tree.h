/* tree.h - the ranks of a round as a tree: parameters go down it, sums come up.
 *
 * Ranks of one host hang together: a binary tree of hosts, each by its first rank, its leader, and
 * a binary tree of the other ranks of each host below it. So at most two sums enter a host from
 * others, and one leaves it; a leader adds three.
 *
 * A tree travels with the parameters, as the list of its nodes in preorder: a rank gets the part
 * that begins with itself, and passes on to each child the part that begins with the child. */
#ifndef PROTO_COMM_TREE_H
#define PROTO_COMM_TREE_H

#include "proto/comm/comm.h"

enum {
    TREE_ARITY = 2,                 /* of hosts, and of ranks in a host */
    TREE_CHILDREN = TREE_ARITY + 1, /* of a rank, at most */
};

struct tree_node { /* as it travels, in host byte order */
    uint32_t rank;
    uint32_t below;     /* nodes below it: the next ones */
    struct slots tasks; /* with parameters: the first that the rank has; n 0: none */
};

/* Lays n_hosts hosts out as a tree, the first of them at its root.
 *   first  (n_hosts + 1) host h has the ranks ranks[first[h]] ... ranks[first[h + 1] - 1], one at
 *          least; first[0] is 0
 *   nodes  (first[n_hosts]) overwritten, without tasks
 * Among hosts, and among the ranks of a host but its first, the later half hangs on the earlier
 * half. */
void tree_plant(const uint32_t *ranks, const uint32_t *first, uint32_t n_hosts,
                struct tree_node *nodes);

/* Fills child with the places of the children of nodes[0] in nodes. Returns how many they are. */
int tree_children(const struct tree_node *nodes, uint32_t child[TREE_CHILDREN]);

/* Bytes of a tree as it travels. */
size_t tree_bytes(const struct tree_node *nodes);

/* Reads a tree at the beginning of a message that `rank` of `size` ranks got: *nodes (in bytes)
 * begins with that rank, and has only children that exist. ERR_DATA: the n bytes, aligned as a
 * message's, do not begin with such a tree. */
int tree_read(const void *bytes, size_t n, int rank, int size, const struct tree_node **nodes);

/* Sends each child of nodes[0] a message: the header, and as its body the child's tree and what
 * follows it. parts (n): the first is overwritten, the others follow; rest: their checksum
 * (comm_send_headed). Errors of comm_send. */
int tree_send(struct comm *c, const struct header *h, const struct tree_node *nodes,
              struct part *parts, int n, uint32_t rest);

#endif
