/* probe.h - one layer with every operand between guards, and its four passes run under watch.
 *
 * Each pass is checked as it runs: it writes what layer.h says and all of it, nothing else changes,
 * and no guard is touched. */
#ifndef TESTS_LIB_PROBE_H
#define TESTS_LIB_PROBE_H

#include "core/math/layer.h"
#include "tests/lib/conform.h"

enum operand { W, X, GY, WT, XT, GYT, Y, SAVE, YT, SAVET, GX, GW, GXT, GWT, SCRATCH, N_OPERANDS };

static const char *const operand_names[] = {"w.v",  "x.v",  "gy.v",   "w.t",  "x.t",
                                            "gy.t", "y.v",  "save.v", "y.t",  "save.t",
                                            "gx.v", "gw.v", "gx.t",   "gw.t", "scratch"};

enum run { /* how probe_run runs */
           RUN_VALUES = 0,
           RUN_TANGENTS = 1, /* all four passes, else forward and backward   */
           RUN_NO_XT = 2,    /* x.t NULL: the network's input does not move  */
           RUN_NO_GX = 4,    /* gx.v, gx.t NULL                              */
           RUN_ONTO = 8,     /* gw.v and gw.t start as they are, not at zero */
           RUN_OTHER = 16,   /* other garbage in scratch and outputs         */
           RUN_STATS = 32    /* leave what statistics got in gw, else zero   */
};

struct layer_case {
    struct layer_spec spec;
    struct shape in;
    bool evaluate;
};

struct probe {
    struct layer l;
    struct layout layout;
    int n;
    bool evaluate;
    struct noise noise;
    struct buffer b[N_OPERANDS]; /* owned */
};

static inline size_t operand_size(const struct probe *p, enum operand o)
{
    const struct layer *l = &p->l;
    size_t n = (size_t)p->n;

    switch (o) {
    case W:
    case WT:
    case GW:
    case GWT:
        return l->n_w;
    case X:
    case XT:
    case GX:
    case GXT:
        return n * shape_size(l->in);
    case SAVE:
    case SAVET:
        return l->save + n * l->save_each;
    case SCRATCH:
        return l->scratch + n * l->scratch_each;
    default:
        return n * shape_size(l->out);
    }
}

/* The sizes must not come from what happened to be in l: plan fills everything but ops and spec. */
static inline int probe_plan(struct probe *p, const struct layer_ops *ops,
                             const struct layer_case *c)
{
    memset(&p->l, 0, sizeof p->l);
    p->l.ops = ops;
    p->l.spec = c->spec;
    snprintf(p->l.spec.type, sizeof p->l.spec.type, "%s", ops->name);
    return ops->plan(&p->l, c->in, "probe1", &p->layout);
}

static inline int probe_init(struct probe *p, const struct layer_ops *ops,
                             const struct layer_case *c, int n)
{
    int code;

    *p = (struct probe){.n = n, .evaluate = c->evaluate, .noise = {5, 6, 7, 8}};
    code = probe_plan(p, ops, c);
    if (code < 0)
        layout_release(&p->layout);
    TRY(code);
    for (int o = 0; o < N_OPERANDS; o++)
        buffer_init(&p->b[o], o, operand_size(p, (enum operand)o), operand_size(p, W) && o == W);
    return 0;
}

static inline void probe_release(struct probe *p)
{
    for (int o = 0; o < N_OPERANDS; o++)
        buffer_release(&p->b[o]);
    layout_release(&p->layout);
}

/* Statistics and constants are not differentiated: sets their part of an operand shaped like w. */
static inline void probe_set_stats(struct probe *p, enum operand o, double low, double high,
                                   uint64_t *seed)
{
    for (int i = 0; i < p->layout.n_segments; i++) {
        const struct segment *s = &p->layout.segments[i];

        if (!role_learns(s->role))
            fill_uniform(s->n, p->b[o].v + s->offset, low, high, seed);
    }
}

static inline void probe_point(struct probe *p, uint64_t seed)
{
    fill_spread(p->b[X].n, p->b[X].v, &seed);
    fill_uniform(p->b[W].n, p->b[W].v, -1, 1, &seed);
    fill_uniform(p->b[GY].n, p->b[GY].v, -1, 1, &seed);
    probe_set_stats(p, W, 0.5, 1.5, &seed); /* a variance is positive */
}

static inline void probe_direction(struct probe *p, uint64_t seed)
{
    for (int o = WT; o <= GYT; o++)
        fill_uniform(p->b[o].n, p->b[o].v, -1, 1, &seed);
    probe_set_stats(p, WT, 0, 0, &seed);
}

static inline struct io probe_io(const struct probe *p, int run, bool tangents)
{
    const struct buffer *b = p->b;
    struct io io = {.n = p->n,
                    .evaluate = p->evaluate,
                    .noise = p->noise,
                    .index = 3,
                    .w = {b[W].v, NULL},
                    .x = {b[X].v, NULL},
                    .y = {b[Y].v, NULL},
                    .save = {b[SAVE].v, NULL},
                    .gy = {b[GY].v, NULL},
                    .gx = {run & RUN_NO_GX ? NULL : b[GX].v, NULL},
                    .gw = {b[GW].v, NULL},
                    .scratch = b[SCRATCH].v};

    if (!tangents)
        return io;
    io.w.t = b[WT].v;
    io.x.t = run & RUN_NO_XT ? NULL : b[XT].v;
    io.y.t = b[YT].v;
    io.save.t = b[SAVET].v;
    io.gy.t = b[GYT].v;
    io.gx.t = run & RUN_NO_GX ? NULL : b[GXT].v;
    io.gw.t = b[GWT].v;
    return io;
}

struct pass {
    const char *name;
    bool tangent;
    unsigned written, complete; /* operands as bits: may change; are finite afterwards */
};

#define BIT(o) (1u << (o))
static const struct pass passes[] = {
    {"forward", false, BIT(Y) | BIT(SAVE), BIT(Y)},
    {"forward_tangent", true, BIT(YT) | BIT(SAVET), BIT(YT)},
    {"backward", false, BIT(GX) | BIT(GW), BIT(GX) | BIT(GW)},
    {"backward_tangent", true, BIT(GXT) | BIT(GWT), BIT(GXT) | BIT(GWT)},
};

static inline int pass_verdict(const struct probe *p, const struct pass *pass, int run)
{
    for (unsigned o = 0; o < N_OPERANDS; o++) {
        const struct buffer *b = &p->b[o];
        bool absent = run & RUN_NO_GX && (o == GX || o == GXT);

        if (!buffer_guarded(b))
            return err(ERR_FAILED, "%s writes beyond %s", pass->name, operand_names[o]);
        if (o == SCRATCH)
            continue;
        if ((!(pass->written & BIT(o)) || absent) && !buffer_kept(b))
            return err(ERR_FAILED, "%s changes %s", pass->name, operand_names[o]);
        if (pass->complete & BIT(o) && !absent && !buffer_finite(b))
            return err(ERR_FAILED, "%s leaves %s not finite", pass->name, operand_names[o]);
    }
    return 0;
}

static inline int probe_pass(struct probe *p, const struct pass *pass, int run)
{
    const struct layer_ops *ops = p->l.ops;
    void (*const call[])(const struct layer *, const struct io *) = {
        ops->forward, ops->forward_tangent, ops->backward, ops->backward_tangent};
    struct io io = probe_io(p, run, pass->tangent);

    buffer_spoil(&p->b[SCRATCH], run & RUN_OTHER ? 0x5a : 0xff);
    for (int o = 0; o < SCRATCH; o++)
        buffer_keep(&p->b[o]);
    call[pass - passes](&p->l, &io);
    return pass_verdict(p, pass, run);
}

/* Runs the passes in the network's order. Outputs start as garbage, gw at zero. */
static inline int probe_run(struct probe *p, int run)
{
    uint64_t unused = 0;

    for (int o = Y; o < SCRATCH; o++)
        if (o != GW && o != GWT)
            buffer_spoil(&p->b[o], run & RUN_OTHER ? 0x5a : 0xff);
        else if (!(run & RUN_ONTO))
            buffer_spoil(&p->b[o], 0);
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
        if (run & RUN_TANGENTS || !passes[i].tangent)
            TRY(probe_pass(p, &passes[i], run));
    if (!(run & RUN_STATS)) {
        probe_set_stats(p, GW, 0, 0, &unused);
        probe_set_stats(p, GWT, 0, 0, &unused);
    }
    return 0;
}

/* ---- copies of a probe's operands, to compare runs ---- */

struct snapshot {
    real *v[N_OPERANDS]; /* owned; not the scratch */
};

static inline struct snapshot snapshot_take(const struct probe *p)
{
    struct snapshot s = {{NULL}};

    for (int o = 0; o < SCRATCH; o++) {
        s.v[o] = malloc((p->b[o].n + 1) * sizeof(real));
        if (!s.v[o])
            abort();
        memcpy(s.v[o], p->b[o].v, p->b[o].n * sizeof(real));
    }
    return s;
}

/* Puts one operand back as it was. */
static inline void snapshot_restore(const struct snapshot *s, struct probe *p, enum operand o)
{
    memcpy(p->b[o].v, s->v[o], p->b[o].n * sizeof(real));
}

static inline void snapshot_free(struct snapshot *s)
{
    for (int o = 0; o < N_OPERANDS; o++)
        free(s->v[o]);
    *s = (struct snapshot){{NULL}};
}

#endif
