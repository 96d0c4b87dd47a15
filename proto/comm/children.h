/* children.h - what goes to a rank's children in the tree and comes from them: the same message to
 * each, and the sum of each, in pieces. */
#ifndef PROTO_COMM_CHILDREN_H
#define PROTO_COMM_CHILDREN_H

#include "proto/comm/pieces.h"
#include "proto/comm/tree.h"

struct children {
    int n;
    uint32_t rank[TREE_CHILDREN];
    uint32_t n_taken[TREE_CHILDREN]; /* pieces of its sum */
    struct pieces sum;               /* how sums are cut */
};

/* The children of nodes[0], whose sums have n_words words and are still to come. */
void children_begin(struct children *c, const struct tree_node *nodes, size_t n_words);

/* Sends each child the same message: comm_send_headed, with an empty head in parts[0]. */
int children_send(const struct children *c, struct comm *comm, const struct header *h,
                  const struct part *parts, int n, uint32_t rest);

/* A piece of a sum has come: adds it to words (n_words), which are undefined where no child has
 * sent anything yet. Returns 1, or 0 if it is refused, because it does not come from a child, or is
 * not its next piece. ERR_DATA: the piece is not a packed sum; the sentence names the child. */
int children_add(struct children *c, const struct message *m, int64_t *words);

/* How many pieces, from the first on, have been taken from all children. */
uint32_t children_taken(const struct children *c);

#endif
