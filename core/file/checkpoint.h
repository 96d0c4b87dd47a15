/* checkpoint.h - a run's state in one safetensors file.
 *
 * Parameters under PyTorch's names and in its layouts, F32 (F64 in the double build), in the
 * layout's order; then the optimizer's vectors, `optimizer.exp_avg.conv1.weight` and so on; the
 * metadata hold what else a resumed or evaluating run needs. docs/checkpoints.md. A directory's
 * files: core/file/checkpoint_files.h. */
#ifndef CORE_FILE_CHECKPOINT_H
#define CORE_FILE_CHECKPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/base/real.h"
#include "core/base/run_id.h"
#include "core/file/safetensors.h"
#include "core/math/layout.h"
#include "core/math/optim.h"

enum { CHECKPOINT_TEXT = 64, KEPT_MAX = 33, KEPT_NAME = 32 };

/* Parameters that a later stage starts from or is anchored to: tensors "kept.NAME.conv1.weight". */
struct kept {
    char name[KEPT_NAME];
    const struct layout *layout; /* borrowed */
    const real *theta;           /* borrowed (P of it) */
};

struct checkpoint_info {
    struct run_identity run; /* the run that wrote it; `unnamed` is not kept */
    int stage;               /* index in the configuration */
    uint64_t round;          /* rounds of that stage done */
    uint64_t seed;
    uint64_t hash;   /* layout_hash of the parameters */
    bool statistics; /* when read: running statistics are among the parameters */
    char stage_name[CHECKPOINT_TEXT], version[CHECKPOINT_TEXT], blas[CHECKPOINT_TEXT],
        cpu[CHECKPOINT_TEXT];
    const char *configuration; /* effective text; borrowed; NULL when read */
    const char *data;          /* what the data were (setup_memory); likewise; NULL: not told */
    const char *adapted;       /* what it was adapted to (predict --save); likewise */
    int n_kept;                /* 0 when read */
    struct kept kept[KEPT_MAX];
};

/* theta (P) and state (ops->n_state x P, may be NULL) of a layout. Atomic. ERR_CANTCREAT, ERR_IO,
 * ERR_MEMORY. */
int checkpoint_write(const char *path, const struct layout *l, const real *theta,
                     const struct optim_ops *ops, const real *state,
                     const struct checkpoint_info *info);

/* Reads parameters by name, each checked for its shape; state if it is not NULL and the file has
 * it for this optimizer (else zero). A file of another library, without metadata, gives *info
 * zeroed. Errors name the path and the first tensor that is missing, unknown or of another shape:
 * ERR_NOINPUT, ERR_DATA. */
int checkpoint_read(const char *path, const struct layout *l, real *theta,
                    const struct optim_ops *ops, real *state, struct checkpoint_info *info);

/* What a checkpoint keeps under a name. ERR_DATA if it does not. */
int checkpoint_read_kept(const char *path, const char *name, const struct layout *l, real *theta);

/* Only what the metadata says; zeroed if there is none. */
int checkpoint_peek(const char *path, struct checkpoint_info *info);

/* The configuration text a checkpoint carries, owned by the caller. ERR_DATA if there is
 * none. */
int checkpoint_configuration(const char *path, char **text);

/* One text of the metadata ("configuration", "data", "adapted"), owned by the caller; NULL if it
 * has none of that name. Errors of checkpoint_peek. */
int checkpoint_text(const char *path, const char *key, char **text);

/* Whether the parameters of an open file have the digest `theta` in its metadata; a file without
 * digest passes. checkpoint_read, _peek and _configuration check it too. ERR_DATA. */
int checkpoint_check(const struct safetensors *f, const char *path);

#endif
