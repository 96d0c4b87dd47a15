/* dropout.c - y = mask x, each element kept with probability q and then divided by q.
 *                                                                            math.md (2.9)
 *
 * The mask is a pure function of (noise, layer's index, sample, element): element i of sample s is
 * decided by half number s size + i of a Philox sequence, eight halves of 16 bits a block.
 * q is a multiple of 1/65536, and 1/q its exact inverse, so that the mean of the mask is 1. The
 * forward pass leaves the mask in save.v; all four passes are products with it. In evaluation the
 * mask is 1 everywhere (Srivastava et al. 2014, inverted). */
#include "core/base/err.h"
#include "core/math/layer.h"
#include "core/math/layer/plan.h"
#include "core/math/layer/torch.h"
#include "core/math/rng.h"
#include "core/math/vec.h"

enum {
    EIGHT = 8,       /* elements of a block */
    PIECE = 512,     /* elements at a time */
    WHOLE = 1 << 16, /* values of a half   */
};

static int dropout_plan(struct layer *l, struct shape in, const char *name, struct layout *layout)
{
    (void)layout;
    if (l->spec.percent < 0 || l->spec.percent > 99)
        return err(ERR_CONFIG, "layer '%s': percent %d is not within 0 .. 99", name,
                   l->spec.percent);
    plan_plain(l, in, in);
    l->save_each = shape_size(in);
    return 0;
}

static size_t reals_of(const struct layer *l, const struct io *io)
{
    return (size_t)io->n * shape_size(l->in);
}

/* n elements of the mask, two a word */
static void dropout_decide(const uint32_t *restrict words, uint32_t dropped, real kept, size_t n,
                           real *restrict mask)
{
    for (size_t i = 0; i < n / 2; i++) {
        mask[2 * i] = (words[i] & (WHOLE - 1)) < dropped ? 0 : kept;
        mask[2 * i + 1] = words[i] >> 16 < dropped ? 0 : kept;
    }
    if (n % 2)
        mask[n - 1] = (words[n / 2] & (WHOLE - 1)) < dropped ? 0 : kept;
}

/* The stream has 16 bits for the pass and 8 for the layer's index. Higher bits go into the seed. */
static uint64_t seed_beyond(uint32_t pass, uint32_t index)
{
    return 0x9e3779b97f4a7c15u * ((uint64_t)(index >> 8) << 16 | pass >> 16);
}

static void dropout_mask(const struct layer *l, const struct io *io, uint32_t dropped)
{
    const struct noise *noise = &io->noise;
    uint32_t stream = RNG_DROPOUT | (noise->pass & 0xffff) << 8 | io->index << 24, words[PIECE / 2];
    real kept = (real)WHOLE / (real)(WHOLE - dropped);
    size_t n = reals_of(l, io);
    struct rng r;

    rng_init(&r, noise->seed ^ seed_beyond(noise->pass, io->index), stream, noise->round,
             noise->slot);
    for (size_t at = 0; at < n; at += PIECE) {
        size_t here = n - at < PIECE ? n - at : PIECE;

        rng_words(&r, (uint32_t)(at / EIGHT), (here + EIGHT - 1) / EIGHT, words);
        dropout_decide(words, dropped, kept, here, io->save.v + at);
    }
}

static void dropout_forward(const struct layer *l, const struct io *io)
{
    size_t n = reals_of(l, io);
    uint32_t dropped = io->evaluate ? 0 : ((uint32_t)l->spec.percent * WHOLE + 50) / 100;

    if (dropped)
        dropout_mask(l, io, dropped);
    else
        for (size_t i = 0; i < n; i++)
            io->save.v[i] = 1;
    vec_mul(n, io->save.v, io->x.v, io->y.v);
}

static void dropout_backward(const struct layer *l, const struct io *io)
{
    if (io->gx.v)
        vec_mul(reals_of(l, io), io->save.v, io->gy.v, io->gx.v);
}

static void dropout_forward_tangent(const struct layer *l, const struct io *io)
{
    if (io->x.t)
        vec_mul(reals_of(l, io), io->save.v, io->x.t, io->y.t);
    else
        vec_zero(reals_of(l, io), io->y.t);
}

static void dropout_backward_tangent(const struct layer *l, const struct io *io)
{
    if (io->gx.t)
        vec_mul(reals_of(l, io), io->save.v, io->gy.t, io->gx.t);
}

static void dropout_torch(const struct layer *l, const char *name, struct torch_text *t)
{
    (void)name;
    torch_function(t, "F.dropout(x, %d / 100, self.training)", l->spec.percent);
}

const struct layer_ops layer_dropout = {
    .name = "dropout",
    .summary = "drops elements in training and scales the rest: percent (0)",
    .plan = dropout_plan,
    .forward = dropout_forward,
    .backward = dropout_backward,
    .forward_tangent = dropout_forward_tangent,
    .backward_tangent = dropout_backward_tangent,
    .torch = dropout_torch,
};
