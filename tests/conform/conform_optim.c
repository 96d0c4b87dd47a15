/* conform_optim.c - every entry of the optimizer table against its formula written out in
 * double, and against numbers PyTorch 1.13 gave; wrong optimizers; schedules, clipping, the
 * whole layout. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/math/optim.h"
#include "tests/lib/conform.h"

enum { N = 13, STEPS = 30, STATES = 4 };

/* ---- oracles: one parameter, all its gradients g[0 .. t-1], from the formula of the paper ---- */

/* torch.optim.SGD: the buffer starts as the first gradient, d = buf, w -= rate d. */
static double sgd_oracle(const struct optim_spec *o, double w, const double *g, int t)
{
    double buffer = 0;

    for (int k = 0; k < t; k++) {
        double d = g[k] + o->weight_decay * w;

        buffer = k == 0 ? d : o->momentum * buffer + d;
        w -= o->rate * buffer;
    }
    return w;
}

/* torch.optim.Adam */
static double adam_oracle(const struct optim_spec *o, double w, const double *g, int t)
{
    double m = 0, v = 0, decay1 = 1, decay2 = 1;

    for (int k = 0; k < t; k++) {
        double d = g[k] + o->weight_decay * w;

        m = m + (d - m) * (1 - o->beta1);
        v = v * o->beta2 + d * d * (1 - o->beta2);
        decay1 *= o->beta1;
        decay2 *= o->beta2;
        w -= o->rate / (1 - decay1) * (m / (sqrt(v) / sqrt(1 - decay2) + o->epsilon));
    }
    return w;
}

static const struct oracle {
    const char *name;
    double (*run)(const struct optim_spec *o, double w, const double *g, int t);
    double known[3]; /* PyTorch's parameters after test_known's three steps */
} oracles[] = {
    {"sgd", sgd_oracle, {0.7565597489999999, -1.8169069979999999, -0.18394280050000011}},
    {"adam", adam_oracle, {0.8041394791477403, -1.8411374251127643, 0.250070501823262}},
};

static const struct oracle *oracle_find(const char *name)
{
    for (size_t i = 0; i < sizeof oracles / sizeof *oracles; i++)
        if (strcmp(oracles[i].name, name) == 0)
            return &oracles[i];
    return NULL;
}

static const struct optim_spec specs[] = {
    {.rate = 0.1, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8},
    {.rate = 0.1,
     .momentum = 0.9,
     .beta1 = 0.9,
     .beta2 = 0.999,
     .epsilon = 1e-8,
     .weight_decay = 0.01},
    {.rate = 0.01, .momentum = 0.5, .beta1 = 0.5, .beta2 = 0.9, .epsilon = 1e-2},
    {.rate = 0.001,
     .momentum = 0.99,
     .beta1 = 0,
     .beta2 = 0.99,
     .epsilon = 1e-3,
     .weight_decay = 0.5},
};
enum { N_SPECS = sizeof specs / sizeof *specs };

/* ---- the suite for one optimizer and one spec ---- */

struct probe {
    struct buffer w, g, state;
    double history[N][STEPS]; /* of gradients */
    real start[N];
};

enum { STRIDE = N + 3 }; /* states lie apart, as under a mask of the layout */

static void probe_init(struct probe *p, int n_state)
{
    buffer_init(&p->w, 0, N, 1);
    buffer_init(&p->g, 1, N, 1);
    buffer_init(&p->state, 2, (size_t)(n_state ? (n_state - 1) * STRIDE + N : 0), 0);
}

static void probe_release(struct probe *p)
{
    buffer_release(&p->w);
    buffer_release(&p->g);
    buffer_release(&p->state);
}

/* From the same start every time. */
static int probe_run(struct probe *p, const struct optim_ops *ops, const struct optim_spec *o)
{
    uint64_t seed = 8;

    fill_uniform(N, p->w.v, -1, 1, &seed);
    memcpy(p->start, p->w.v, sizeof p->start);
    buffer_spoil(&p->state, 0);
    for (int t = 1; t <= STEPS; t++) {
        fill_uniform(N, p->g.v, -1, 2, &seed);
        for (int i = 0; i < N; i++)
            p->history[i][t - 1] = p->g.v[i];
        buffer_keep(&p->g);
        ops->step(o, o->rate, (uint64_t)t, N, p->g.v, p->w.v, p->state.v, STRIDE);
        if (!buffer_kept(&p->g))
            return err(ERR_FAILED, "changes the gradient");
        if (!buffer_guarded(&p->w) || !buffer_guarded(&p->g) || !buffer_guarded(&p->state))
            return err(ERR_FAILED, "writes beyond its operands");
    }
    return 0;
}

/* What lies between one state vector and the next belongs to other parameters. */
static int check_gaps(const struct probe *p)
{
    for (size_t i = 0; i < p->state.n; i++)
        if (i % STRIDE >= N && p->state.v[i] != 0)
            return err(ERR_FAILED, "writes between its states");
    return 0;
}

/* Each step rounds w by eps |w|, and each state by eps of itself. The states move w by rate times a
 * mean of at most 1 / (1 - 0.99) gradients (adam: of that size divided by one), so that one
 * rounding of theirs is worth at most 3 * 100 rate eps; |w| and the gradients stay below 3. */
static double step_tolerance(const struct optim_spec *o)
{
    return STEPS * REAL_EPS * (3 + 300 * o->rate);
}

static int check_formula(const struct probe *p, const struct oracle *oracle,
                         const struct optim_spec *o)
{
    real want[N];

    for (int i = 0; i < N; i++)
        want[i] = (real)oracle->run(o, p->start[i], p->history[i], STEPS);
    return near("not the formula", N, p->w.v, want, step_tolerance(o));
}

/* The same in, the same out. */
static int check_pure(struct probe *p, const struct optim_ops *ops, const struct optim_spec *o)
{
    buffer_keep(&p->w);
    buffer_keep(&p->state);
    TRY(probe_run(p, ops, o));
    if (!buffer_kept(&p->w) || !buffer_kept(&p->state))
        return err(ERR_FAILED, "the second run differs");
    return 0;
}

static int optim_check(const struct optim_ops *ops, const struct oracle *oracle)
{
    struct probe p;
    int code = 0;

    for (int i = 0; i < N_SPECS && !code; i++) {
        probe_init(&p, ops->n_state);
        code = probe_run(&p, ops, &specs[i]);
        code = code ? code : check_gaps(&p);
        code = code ? code : check_pure(&p, ops, &specs[i]);
        code = code ? code : check_formula(&p, oracle, &specs[i]);
        probe_release(&p);
        if (code)
            err_within(code, "%s, spec %d", ops->name, i);
    }
    return code;
}

static void test_table(void **state)
{
    (void)state;
    assert_non_null(optim_table[0]);
    for (const struct optim_ops *const *ops = optim_table; *ops; ops++) {
        const struct oracle *oracle = oracle_find((*ops)->name);

        if (!oracle)
            fail_msg("'%s' has no oracle here: write one", (*ops)->name);
        if (optim_check(*ops, oracle))
            fail_msg("%s", err_text());
        assert_ptr_equal(optim_find((*ops)->name), *ops);
        assert_non_null((*ops)->summary);
        for (int i = 0; i < (*ops)->n_state; i++)
            assert_true(strlen((*ops)->state_names[i]) > 0);
    }
    assert_null(optim_find("no such optimizer"));
}

/* rate 0.1, decay 0.01; sgd momentum 0.9; adam betas 0.9, 0.99, eps 1e-3; float64 */
static void test_known(void **state)
{
    const struct optim_spec o = {.rate = 0.1,
                                 .momentum = 0.9,
                                 .beta1 = 0.9,
                                 .beta2 = 0.99,
                                 .epsilon = 1e-3,
                                 .weight_decay = 0.01};
    const real g[3][3] = {{0.5, -1, 2}, {-0.25, 0.125, 1}, {1.5, 0.75, -0.5}};

    (void)state;
    for (const struct optim_ops *const *ops = optim_table; *ops; ops++) {
        real w[3] = {1, -2, 0.5}, memory[3 * STATES] = {0}, want[3];

        for (int t = 1; t <= 3; t++)
            (*ops)->step(&o, o.rate, (uint64_t)t, 3, g[t - 1], w, memory, 3);
        for (int i = 0; i < 3; i++)
            want[i] = (real)oracle_find((*ops)->name)->known[i];
        if (near((*ops)->name, 3, w, want, 3 * 4 * REAL_EPS * 3))
            fail_msg("%s", err_text());
    }
}

/* ---- wrong optimizers: the suite must reject each ---- */

#define STEP(name)                                                                                 \
    static void name(const struct optim_spec *o, double rate, uint64_t t, size_t n, const real *g, \
                     real *w, real *state, size_t stride)

STEP(sgd_dampened) /* the first gradient enters as (1 - momentum) g */
{
    (void)t, (void)stride;
    for (size_t i = 0; i < n; i++) {
        state[i] =
            (real)(o->momentum * state[i] + (1 - o->momentum) * (g[i] + o->weight_decay * w[i]));
        w[i] = (real)(w[i] - rate * state[i]);
    }
}

STEP(sgd_decoupled) /* decay beside the momentum, not in it */
{
    (void)t, (void)stride;
    for (size_t i = 0; i < n; i++) {
        state[i] = (real)(o->momentum * state[i] + g[i]);
        w[i] = (real)(w[i] - rate * (state[i] + o->weight_decay * w[i]));
    }
}

STEP(sgd_ascent)
{
    (void)t, (void)stride;
    for (size_t i = 0; i < n; i++) {
        state[i] = (real)(o->momentum * state[i] + g[i] + o->weight_decay * w[i]);
        w[i] = (real)(w[i] + rate * state[i]);
    }
}

STEP(sgd_beyond)
{
    (void)o, (void)rate, (void)t, (void)stride, (void)state, (void)g;
    w[n] = 0;
}

STEP(sgd_gap)
{
    (void)o, (void)rate, (void)t, (void)stride, (void)w, (void)g;
    state[n] = 1;
}

STEP(sgd_remembers)
{
    static int calls;

    (void)o, (void)t, (void)stride, (void)state;
    for (size_t i = 0; i < n; i++)
        w[i] = (real)(w[i] - rate * g[i] * ++calls);
}

/* Adam with or without the division by 1 - beta^t, eps under the root or beside it. */
static void adam_like(const struct optim_spec *o, double rate, uint64_t t, size_t n, const real *g,
                      real *w, real *state, size_t stride, bool debias, bool under)
{
    double bias1 = debias ? 1 - pow(o->beta1, (double)t) : 1;
    double bias2 = debias ? 1 - pow(o->beta2, (double)t) : 1;

    for (size_t i = 0; i < n; i++) {
        real *m = state + i, *v = state + stride + i;
        double d = g[i] + o->weight_decay * w[i], root;

        *m = (real)(o->beta1 * *m + (1 - o->beta1) * d);
        *v = (real)(o->beta2 * *v + (1 - o->beta2) * d * d);
        root = under ? sqrt(*v / bias2 + o->epsilon) : sqrt(*v / bias2) + o->epsilon;
        w[i] = (real)(w[i] - rate * (*m / bias1) / root);
    }
}

STEP(adam_right)
{
    adam_like(o, rate, t, n, g, w, state, stride, true, false);
}

STEP(adam_biased)
{
    adam_like(o, rate, t, n, g, w, state, stride, false, false);
}

STEP(adam_late) /* t from 0 */
{
    adam_like(o, rate, t + 1, n, g, w, state, stride, true, false);
}

STEP(adam_under)
{
    adam_like(o, rate, t, n, g, w, state, stride, true, true);
}

static const struct {
    struct optim_ops ops;
    const char *oracle, *expected;
} broken[] = {
    {{"right adam", "", 2, NULL, adam_right}, "adam", NULL},
    {{"dampened", "", 2, NULL, sgd_dampened}, "sgd", "not the formula"},
    {{"decoupled decay", "", 2, NULL, sgd_decoupled}, "sgd", "not the formula"},
    {{"ascent", "", 2, NULL, sgd_ascent}, "sgd", "not the formula"},
    {{"beyond", "", 2, NULL, sgd_beyond}, "sgd", "beyond"},
    {{"gap", "", 2, NULL, sgd_gap}, "sgd", "between its states"},
    {{"remembers", "", 2, NULL, sgd_remembers}, "sgd", "second run differs"},
    {{"biased", "", 2, NULL, adam_biased}, "adam", "not the formula"},
    {{"one step late", "", 2, NULL, adam_late}, "adam", "not the formula"},
    {{"eps under the root", "", 2, NULL, adam_under}, "adam", "not the formula"},
};

static void test_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        int code = optim_check(&broken[i].ops, oracle_find(broken[i].oracle));

        if (!broken[i].expected && code)
            fail_msg("rejects the right one: %s", err_text());
        if (broken[i].expected && !code)
            fail_msg("accepts '%s'", broken[i].ops.name);
        if (broken[i].expected && !strstr(err_text(), broken[i].expected))
            fail_msg("for another reason: %s", err_text());
    }
}

/* ---- schedules: rounds 1 .. rounds ---- */

static void assert_rate(const struct optim_spec *o, uint64_t t, double want)
{
    double got = optim_rate(o, t);

    if (!(fabs(got - want) <= 1e-14 * fabs(o->rate)))
        fail_msg("%s, round %d: %.17g, not %.17g", o->schedule, (int)t, got, want);
}

static void test_constant(void **state)
{
    const struct optim_spec o = {.rate = 0.3, .schedule = "constant", .rounds = 10};

    (void)state;
    for (uint64_t t = 1; t <= 10; t++)
        assert_true(optim_rate(&o, t) == 0.3);
}

/* rate_end + (rate - rate_end) (1 + cos(pi (t - 1) / (rounds - 1))) / 2 */
static void test_cosine(void **state)
{
    struct optim_spec o = {.rate = 0.4, .rate_end = 0.1, .schedule = "cosine", .rounds = 5};

    (void)state;
    assert_rate(&o, 1, 0.4);
    assert_rate(&o, 2, 0.1 + 0.3 * (2 + sqrt(2)) / 4);
    assert_rate(&o, 3, 0.25);
    assert_rate(&o, 4, 0.1 + 0.3 * (2 - sqrt(2)) / 4);
    assert_rate(&o, 5, 0.1);
    o.rounds = 1000;
    for (uint64_t t = 2; t <= 1000; t++)
        assert_true(optim_rate(&o, t) < optim_rate(&o, t - 1));
    o.rounds = 1; /* no 0/0 */
    assert_rate(&o, 1, 0.4);
}

static void test_step(void **state)
{
    const struct optim_spec o = {
        .rate = 0.8, .schedule = "step", .step_every = 3, .step_factor = 0.5, .rounds = 9};
    static const double want[9] = {0.8, 0.8, 0.8, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2};

    (void)state;
    for (uint64_t t = 1; t <= 9; t++)
        assert_rate(&o, t, want[t - 1]);
}

/* ---- clipping ---- */

static void test_clip(void **state)
{
    real g[3] = {2, -3, 6}, same[3] = {2, -3, 6}, half[3] = {1, -1.5, 3}, none[3] = {0, 0, 0};

    (void)state;
    assert_true(optim_clip(g, 3, 0) == 7);
    assert_true(optim_clip(g, 3, 7) == 7);
    assert_true(optim_clip(g, 3, 100) == 7);
    assert_memory_equal(g, same, sizeof g);
    assert_true(optim_clip(g, 3, 3.5) == 7);
    assert_int_equal(near("clipped", 3, g, half, 4 * REAL_EPS), 0);
    assert_true(optim_clip(none, 3, 1) == 0);
    assert_true(none[0] == 0 && none[1] == 0 && none[2] == 0);
    assert_true(optim_clip(g, 0, 1) == 0);
}

/* ---- the whole layout ---- */

enum { BODY = 5, STAT = 4, HEAD = 3, P = BODY + STAT + HEAD };

static void test_layout_init(struct layout *l)
{
    *l = (struct layout){0};
    assert_int_equal(layout_add(l, (struct segment){.name = "body", .n_dims = 1, .dims = {BODY}}),
                     0);
    assert_int_equal(
        layout_add(
            l, (struct segment){.name = "stat", .n_dims = 1, .dims = {STAT}, .role = ROLE_STAT}),
        0);
    assert_int_equal(
        layout_add(
            l, (struct segment){.name = "head", .n_dims = 1, .dims = {HEAD}, .role = ROLE_HEAD}),
        0);
}

/* What optim_apply should do, on body and head as one short vector. */
static double apply_slowly(const struct optim_spec *o, uint64_t t, const real *g, real *theta,
                           real *state, int n_state)
{
    real gs[BODY + HEAD], w[BODY + HEAD], s[STATES][BODY + HEAD];
    double before;
    int n = BODY + HEAD;

    for (int i = 0; i < n; i++) {
        int at = i < BODY ? i : i + STAT;

        gs[i] = g[at];
        w[i] = theta[at];
        for (int k = 0; k < n_state; k++)
            s[k][i] = state[k * P + at];
    }
    before = optim_clip(gs, (size_t)n, o->clip);
    optim_find(o->name)->step(o, optim_rate(o, t), t, (size_t)n, gs, w, s[0], (size_t)n);
    for (int i = 0; i < n; i++) {
        int at = i < BODY ? i : i + STAT;

        theta[at] = w[i];
        for (int k = 0; k < n_state; k++)
            state[k * P + at] = s[k][i];
    }
    for (int i = BODY; i < BODY + STAT; i++)
        theta[i] = (real)(theta[i] - 0.1 * g[i]);
    return before;
}

static void check_apply(const struct optim_ops *ops, double clip)
{
    struct optim_spec o = {.factor = {1, 1, 1, 1, 1, 1},
                           .rate = 0.5,
                           .momentum = 0.9,
                           .beta1 = 0.9,
                           .beta2 = 0.99,
                           .epsilon = 1e-8,
                           .weight_decay = 0.1,
                           .clip = clip,
                           .schedule = "cosine",
                           .rounds = 4};
    real theta[P], slow[P], g[P], state[STATES * P] = {0}, slow_state[STATES * P] = {0};
    struct layout l;
    uint64_t seed = 4;

    snprintf(o.name, sizeof o.name, "%s", ops->name);
    test_layout_init(&l);
    fill_uniform(P, theta, -1, 1, &seed);
    memcpy(slow, theta, sizeof slow);
    for (uint64_t t = 1; t <= 4; t++) {
        double want, got;

        fill_uniform(P, g, -1, 1, &seed);
        g[BODY] = 1e6; /* a statistic far off: neither clipped nor part of the norm */
        want = apply_slowly(&o, t, g, slow, slow_state, ops->n_state);
        got = optim_apply(&o, &l, t, g, theta, state);
        assert_true(fabs(got - want) <= P * 0x1p-52 * want);
        for (int i = 0; i < P; i++)
            if (near(ops->name, 1, theta + i, slow + i, 8 * REAL_EPS * fmax(1, fabs(slow[i]))))
                fail_msg("round %d, parameter %d: %s", (int)t, i, err_text());
        for (int i = 0; i < STATES * P; i++)
            assert_true(i % P < BODY || i % P >= BODY + STAT || state[i] == 0);
    }
    layout_release(&l);
}

static void test_apply(void **state)
{
    (void)state;
    for (const struct optim_ops *const *ops = optim_table; *ops; ops++) {
        check_apply(*ops, 0);
        check_apply(*ops, 0.25);
        check_apply(*ops, 1e3);
    }
}

/* theta - 0.1 (theta - observed) = 0.9 theta + 0.1 observed, at any rate and in the last round
 * too */
static void test_apply_stat(void **state)
{
    struct optim_spec o = {.factor = {1, 1, 1, 1, 1, 1},
                           .name = "sgd",
                           .rate = 0,
                           .clip = 1e-3,
                           .weight_decay = 1,
                           .schedule = "constant",
                           .rounds = 1};
    real theta[P] = {0}, g[P] = {0}, memory[STATES * P] = {0};
    struct layout l;

    (void)state;
    test_layout_init(&l);
    theta[BODY] = 20;
    g[BODY] = 20 - 70; /* observed 70 */
    optim_apply(&o, &l, 1, g, theta, memory);
    assert_true(fabs((double)theta[BODY] - (0.9 * 20 + 0.1 * 70)) <= 4 * REAL_EPS * 25);
    layout_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),      cmocka_unit_test(test_known),
        cmocka_unit_test(test_broken),     cmocka_unit_test(test_constant),
        cmocka_unit_test(test_cosine),     cmocka_unit_test(test_step),
        cmocka_unit_test(test_clip),       cmocka_unit_test(test_apply),
        cmocka_unit_test(test_apply_stat),
    };

    return cmocka_run_group_tests_name("conform_optim", tests, NULL, NULL);
}
