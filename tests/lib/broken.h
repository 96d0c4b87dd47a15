/* broken.h - layers that are wrong on purpose, and the right ones they are made from. */
#ifndef TESTS_LIB_BROKEN_H
#define TESTS_LIB_BROKEN_H

#include <stdbool.h>

#include "core/math/layer.h"

enum flaw {
    FLAW_NONE,
    /* bend, operands */
    FLAW_Y_BEYOND,
    FLAW_X_BEYOND,
    FLAW_GX_BEFORE,
    FLAW_GW_BEYOND,
    FLAW_SCRATCH_BEYOND,
    FLAW_SCRATCH_READ,
    FLAW_CHANGES_X,
    FLAW_CHANGES_GY,
    FLAW_CHANGES_GW,
    FLAW_REMEMBERS,
    FLAW_PLAN,
    /* bend, first order */
    FLAW_FLIPPED_GX,
    FLAW_FLIPPED_GW,
    FLAW_TWICE,
    FLAW_GW_SET,
    FLAW_GX_ADDED,
    FLAW_GX_SHORT,
    FLAW_NEEDS_GX,
    FLAW_NO_WT,
    FLAW_NO_XT,
    FLAW_XT_IS_X,
    /* bend, second order */
    FLAW_GWT_SET,
    FLAW_NO_CROSS_GX,
    FLAW_NO_CROSS,
    FLAW_NO_CURVE,
    FLAW_NO_SEED,
    FLAW_TWICE_HESSIAN,
    FLAW_NOT_LINEAR,
    FLAW_DEAF,
    /* norm */
    FLAW_NO_MEAN,
    FLAW_NO_VARIANCE,
    FLAW_TANGENT_FIXED,
    FLAW_SECOND_NO_R,
    FLAW_SECOND_NO_XHAT,
    FLAW_STAT_BIASED,
    FLAW_STAT_FLIPPED,
    /* drop */
    FLAW_OTHER_MASK,
    FLAW_OTHER_MASK_TANGENT,
    /* block */
    FLAW_NO_SHORTCUT,
    FLAW_NO_SHORTCUT_TANGENT,
};

struct broken {
    struct layer_ops ops; /* first: a layer's ops lead back here */
    enum flaw flaw;
    const char *expected;  /* part of what the suite must say; NULL for the right layers */
    bool only_differences; /* nothing else can see it                                    */
};

extern const struct broken broken_layers[]; /* ended by an entry without a name */

#endif
