/* tree.h - the living ranks as a binary tree: parameters go down it, sums come up.
 *
 * The member at position p has children at 2 p + 1 and 2 p + 2; position 0 is the coordinator. The
 * members travel with the parameters, so every round tells its own members. */
#ifndef PROTO_COMM_TREE_H
#define PROTO_COMM_TREE_H

#include <stdint.h>

enum { TREE_ARITY = 2 };

struct tree {
    int n;
    const uint32_t *members; /* (n) ranks; borrowed */
};

/* The position of a rank, or -1 if it is no member. */
int tree_position(const struct tree *t, int rank);

/* The rank above this one; -1 for the coordinator and for a rank that is no member. */
int tree_parent(const struct tree *t, int rank);

/* Fills child with the ranks below this one; returns how many, 0 for a rank that is no member. */
int tree_children(const struct tree *t, int rank, int child[TREE_ARITY]);

#endif
