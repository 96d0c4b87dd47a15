/* test_optim.c - which parameters the outer step moves, and how often they have stepped. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/math/optim.h"
#include "tests/lib/conform.h"

enum { BODY = 5, STAT = 4, HEAD = 3, P = BODY + STAT + HEAD, STATES = 2 };

static void test_layout_init(struct layout *l)
{
    static const struct segment segments[] = {
        {.name = "body", .n_dims = 1, .dims = {BODY}},
        {.name = "stat", .n_dims = 1, .dims = {STAT}, .role = ROLE_STAT},
        {.name = "head", .n_dims = 1, .dims = {HEAD}, .role = ROLE_HEAD},
    };

    *l = (struct layout){0};
    for (int i = 0; i < 3; i++)
        assert_int_equal(layout_add(l, segments[i]), 0);
}

/* torch.optim.Adam: one parameter, all its gradients. */
static double adam_alone(const struct optim_spec *o, double w, const double *g, int t)
{
    double m = 0, v = 0, decay1 = 1, decay2 = 1;

    for (int k = 0; k < t; k++) {
        double d = g[k] + o->weight_decay * w;

        m = m + (d - m) * (1 - o->beta1);
        v = v * o->beta2 + d * d * (1 - o->beta2);
        decay1 *= o->beta1, decay2 *= o->beta2;
        w -= o->rate / (1 - decay1) * (m / (sqrt(v) / sqrt(1 - decay2) + o->epsilon));
    }
    return w;
}

/* What the warm-up holds back takes its first step as if the stage began with it, as
 * torch.optim.Adam does with parameters whose first gradient comes late: by the whole rate,
 * whatever the round. */
static void test_warm_up(void **state)
{
    enum { WARM_UP = 1000, AFTER = 6 };
    struct optim_spec o = {.factor = {1, 1, 1, 1, 1, 1},
                           .name = "adam",
                           .rate = 0.01,
                           .beta1 = 0.9,
                           .beta2 = 0.999,
                           .epsilon = 1e-8,
                           .weight_decay = 0.01,
                           .warm_up = WARM_UP,
                           .still = WARM_UP,
                           .schedule = "constant",
                           .rounds = WARM_UP + AFTER};
    real theta[P], start[P], g[P], memory[STATES * P] = {0};
    double history[P][WARM_UP + AFTER];
    struct layout l;
    uint64_t seed = 5;

    (void)state;
    test_layout_init(&l);
    fill_uniform(P, theta, -1, 1, &seed);
    memcpy(start, theta, sizeof start);
    for (uint64_t t = 1; t <= WARM_UP + AFTER; t++) {
        fill_uniform(P, g, -1, 2, &seed);
        for (int i = 0; i < P; i++)
            history[i][t - 1] = g[i];
        optim_apply(&o, &l, t, g, theta, memory);
        assert_true(t > WARM_UP || memcmp(theta, start, (BODY + STAT) * sizeof(real)) == 0);
    }
    for (int i = 0; i < P; i++) {
        bool head = i >= BODY + STAT;
        const double *own = history[i] + (head ? 0 : WARM_UP);
        double want = adam_alone(&o, start[i], own, head ? WARM_UP + AFTER : AFTER);

        if (i >= BODY && !head)
            continue;
        if (!(fabs(theta[i] - want) <= (WARM_UP + AFTER) * REAL_EPS * 8))
            fail_msg("parameter %d: %.9g, not %.9g", i, (double)theta[i], want);
    }
    layout_release(&l);
}

/* No gradient of the stage reaches the body: neither decay nor clipping knows of it. */
static void test_idle(void **state)
{
    struct optim_spec o = {.factor = {1, 1, 1, 1, 1, 1},
                           .rate = 0.5,
                           .beta1 = 0.9,
                           .beta2 = 0.99,
                           .epsilon = 1e-8,
                           .weight_decay = 0.5,
                           .schedule = "constant",
                           .rounds = 2};
    struct layout l;

    (void)state;
    test_layout_init(&l);
    l.segments[0].idle = true;
    for (const struct optim_ops *const *ops = optim_table; *ops; ops++) {
        real theta[P], start[P], g[P], memory[STATES * P] = {0};
        uint64_t seed = 6;

        snprintf(o.name, sizeof o.name, "%s", (*ops)->name);
        fill_uniform(P, theta, 1, 2, &seed);
        memcpy(start, theta, sizeof start);
        for (uint64_t t = 1; t <= 2; t++) {
            memset(g, 0, sizeof g);
            g[BODY + STAT] = 3, g[0] = 4;
            assert_true(optim_apply(&o, &l, t, g, theta, memory) == 3);
        }
        assert_memory_equal(theta, start, BODY * sizeof(real));
        for (int i = BODY + STAT; i < P; i++)
            assert_true(theta[i] != start[i]);
    }
    layout_release(&l);
}

/* At rate 0 a role with a rate of its own steps by that, and nothing becomes 0 times infinity. */
static void test_own_rate(void **state)
{
    struct optim_spec o = {.factor = {1, 1, 1, 1, 1, 1},
                           .name = "sgd",
                           .own = {[ROLE_HEAD] = 0.25},
                           .schedule = "cosine",
                           .rounds = 3};
    real theta[P] = {0}, memory[STATES * P] = {0};
    struct layout l;

    (void)state;
    test_layout_init(&l);
    for (uint64_t t = 1; t <= 3; t++) {
        real g[P];

        for (int i = 0; i < P; i++)
            g[i] = 1;
        optim_apply(&o, &l, t, g, theta, memory);
    }
    for (int i = 0; i < BODY; i++)
        assert_true(theta[i] == 0);
    for (int i = BODY + STAT; i < P; i++) /* 1, 1/2 and 0 of it */
        assert_true(fabs(theta[i] + 0.375) <= 4 * REAL_EPS);
    layout_release(&l);
}

/* ---- in parts ---- */

enum { WHOLE = 1000, CUTS = 5 };

static struct optim_spec spec_of(const struct optim_ops *ops, double clip)
{
    struct optim_spec o = {.rate = 0.01,
                           .momentum = 0.9,
                           .beta1 = 0.9,
                           .beta2 = 0.999,
                           .epsilon = 1e-8,
                           .weight_decay = 0.01,
                           .clip = clip,
                           .schedule = "constant",
                           .rounds = 2,
                           .factor = {[ROLE_BODY] = 1}};

    snprintf(o.name, sizeof o.name, "%s", ops->name);
    return o;
}

static void step_in_parts(const struct optim_spec *o, const struct layout *l, const size_t *cuts)
{
    static real g[2][WHOLE], start[WHOLE], theta[2][WHOLE], memory[2][STATES * WHOLE];
    uint64_t seed = 9;

    memset(memory, 0, sizeof memory);
    fill_uniform(WHOLE, start, -1, 1, &seed);
    for (int way = 0; way < 2; way++)
        memcpy(theta[way], start, sizeof start);
    for (uint64_t t = 1; t <= 2; t++) {
        double norm;

        fill_uniform(WHOLE, g[0], -1, 1, &seed);
        memcpy(g[1], g[0], sizeof g[0]);
        norm = optim_norm(o, l, t, g[1]);
        for (int i = 0; i + 1 < CUTS; i++)
            optim_step(o, l, t, norm, cuts[i], cuts[i + 1] - cuts[i], g[1], theta[1], memory[1]);
        assert_true(optim_apply(o, l, t, g[0], theta[0], memory[0]) == norm);
    }
    assert_memory_equal(theta[0], theta[1], sizeof theta[0]);
    assert_memory_equal(memory[0], memory[1], sizeof memory[0]);
    assert_true(memcmp(theta[0], start, sizeof start) != 0);
}

/* Cut anywhere, also inside of segments and of the compiler's vectors, a step has the same bits. */
static void parts_of_a_step(void **state)
{
    static const size_t cuts[][CUTS] = {
        {0, 1, 500, 999, WHOLE}, {0, 64, 65, 640, WHOLE}, {0, 7, 8, 333, WHOLE}};
    struct layout l = {0};

    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(layout_add(&l, (struct segment){.name = "part",
                                                         .n_dims = 1,
                                                         .role = i == 1 ? ROLE_STAT : ROLE_BODY,
                                                         .dims = {WHOLE / 4}}),
                         0);
    for (const struct optim_ops *const *ops = optim_table; *ops; ops++)
        for (size_t k = 0; k < 2 * sizeof cuts / sizeof *cuts; k++) {
            struct optim_spec o = spec_of(*ops, k % 2 ? 3 : 0);

            step_in_parts(&o, &l, cuts[k / 2]);
        }
    layout_release(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parts_of_a_step),
        cmocka_unit_test(test_warm_up),
        cmocka_unit_test(test_idle),
        cmocka_unit_test(test_own_rate),
    };

    return cmocka_run_group_tests_name("optim", tests, NULL, NULL);
}
