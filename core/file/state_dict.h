/* state_dict.h - the parameters in a safetensors file of another network or program, under names
 * of ours.
 *
 * The name of an entry is the tensor's, without "module." in front, unless a rule "theirs=ours"
 * fits: `theirs` is the tensor's name, or a beginning of it that a dot follows, and `ours` takes
 * its place; the longest that fits counts. Tensors "optimizer.*" and "kept.*" of a checkpoint are
 * entries only by a rule, counters "*.num_batches_tracked" never. */
#ifndef CORE_FILE_STATE_DICT_H
#define CORE_FILE_STATE_DICT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/file/safetensors.h"
#include "core/math/layout.h"

struct state_entry {
    const struct tensor *tensor; /* borrowed from the file */
    char *name;                  /* owned */
    bool taken;                  /* for the caller's use */
};

struct state_dict {
    struct safetensors file; /* owned */
    uint64_t digest;         /* XXH64 (seed 0) of the whole file */
    int n;
    struct state_entry *entries; /* owned, (n) in file order */
};

/* Reads and checks the file. ERR_CONFIG names a rule (of n_rules) that is none or fits no tensor;
 * ERR_DATA two tensors that would have one name; errors of safetensors_open, checkpoint_check.
 * After an error nothing is open. */
int state_dict_open(struct state_dict *d, const char *path, char *const *rules, int n_rules);
void state_dict_close(struct state_dict *d); /* also one of zeros */

struct state_entry *state_dict_find(const struct state_dict *d, const char *name); /* or NULL */

/* Whether the tensor has the segment's shape. */
bool state_entry_fits(const struct state_entry *e, const struct segment *s);

/* For a file whose names are all strange: modules with a weight are paired with the layout's by
 * their order, separately for each number of dimensions, and take its names. true: the numbers
 * of modules and the shapes of all weights are equal (but for the shape of the head). Otherwise, or
 * if the order cannot be known from the file, nothing changes. A file that is sorted by name (as
 * PyTorch's writer sorts) has no order of its own; then numbers in the names give it. ERR_MEMORY
 * counts as false. */
bool state_dict_order(struct state_dict *d, const struct layout *l);

#endif
