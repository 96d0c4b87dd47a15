/* conform_loss.c - the suite over every entry of the loss table, over wrong losses, and what each
 * loss is known to give. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "core/math/loss.h"
#include "core/math/loss/distill.h"
#include "tests/lib/conform.h"

enum { Y, YT, TARGET, GY, GYT, N_BUFFERS, N_MAX = 5, C_MAX = 20 };

#ifdef REAL64
static const bool can_difference = true;
#else
static const bool can_difference = false; /* a step h loses REAL_EPS / h of every digit there is */
#endif
static const double STEP = 0x1p-17;

struct probe {
    const struct loss_ops *ops;
    int c, label[N_MAX];
    size_t n; /* batch.n * c */
    struct batch batch;
    struct buffer b[N_BUFFERS]; /* owned */
};

static void probe_init(struct probe *p, const struct loss_ops *ops, int n, int c, uint64_t seed)
{
    *p = (struct probe){.ops = ops, .c = c, .n = (size_t)(n * c)};
    for (int i = 0; i < N_BUFFERS; i++)
        buffer_init(&p->b[i], i, p->n, 1);
    for (int i = Y; i <= TARGET; i++)
        fill_uniform(p->n, p->b[i].v, -3, 3, &seed);
    for (int k = 0; k < n; k++)
        p->label[k] = (int)(draw_u64(&seed) % (uint64_t)c);
    p->batch = (struct batch){.n = n, .label = p->label, .target = p->b[TARGET].v};
}

static void probe_release(struct probe *p)
{
    for (int i = 0; i < N_BUFFERS; i++)
        buffer_release(&p->b[i]);
}

static double probe_value(struct probe *p)
{
    return p->ops->value(&p->batch, p->c, p->b[Y].v);
}

/* Outputs start as NaN: they are overwritten, all of them; inputs and guards stay. */
static int probe_run(struct probe *p)
{
    static const char *const names[] = {"y", "yt", "target", "gy", "gyt"};

    for (int i = 0; i < N_BUFFERS; i++)
        buffer_keep(&p->b[i]);
    buffer_spoil(&p->b[GY], 0xff);
    buffer_spoil(&p->b[GYT], p->ops->grad_tangent ? 0xff : 0);
    p->ops->grad(&p->batch, p->c, p->b[Y].v, p->b[GY].v);
    if (p->ops->grad_tangent)
        p->ops->grad_tangent(&p->batch, p->c, p->b[Y].v, p->b[YT].v, p->b[GYT].v);
    for (int i = 0; i < N_BUFFERS; i++) {
        if (!buffer_guarded(&p->b[i]))
            return err(ERR_FAILED, "writes beyond %s", names[i]);
        if (i < GY ? !buffer_kept(&p->b[i]) : !buffer_finite(&p->b[i]))
            return err(ERR_FAILED, "%s %s", i < GY ? "changes" : "leaves garbage in", names[i]);
    }
    return 0;
}

/* grad against differences of value, output by output */
static int check_grad(struct probe *p)
{
    double scale, lost = 4 * REAL_EPS * fabs(probe_value(p)) / STEP;

    TRY(probe_run(p));
    scale = largest(p->n, p->b[GY].v);
    for (size_t i = 0; i < p->n; i++) {
        real here = p->b[Y].v[i];
        double plus, minus, got = p->b[GY].v[i], want;

        p->b[Y].v[i] = (real)(here + STEP);
        plus = probe_value(p);
        p->b[Y].v[i] = (real)(here - STEP);
        minus = probe_value(p);
        p->b[Y].v[i] = here;
        want = (plus - minus) / (2 * STEP);
        if (!(fabs(got - want) <= 1e-7 * scale + lost))
            return err(ERR_FAILED, "grad misses: output %zu has %.12g, not %.12g", i, got, want);
    }
    return 0;
}

static void shift(struct probe *p, double h)
{
    for (size_t i = 0; i < p->n; i++)
        p->b[Y].v[i] = (real)(p->b[Y].v[i] + h * p->b[YT].v[i]);
}

/* grad_tangent against differences of grad along yt */
static int check_grad_tangent(struct probe *p)
{
    real tangent[N_MAX * C_MAX], d[N_MAX * C_MAX];

    TRY(probe_run(p));
    memcpy(tangent, p->b[GYT].v, p->n * sizeof(real));
    shift(p, STEP);
    TRY(probe_run(p));
    memcpy(d, p->b[GY].v, p->n * sizeof(real));
    shift(p, -2 * STEP);
    TRY(probe_run(p));
    shift(p, STEP);
    for (size_t i = 0; i < p->n; i++)
        d[i] = (real)((d[i] - p->b[GY].v[i]) / (2 * STEP));
    return near("grad_tangent misses", p->n, tangent, d,
                1e-7 * largest(p->n, d) + 16 * REAL_EPS * largest(p->n, p->b[GY].v) / STEP);
}

/* <u, H v> = <H u, v>, and H (v + 2u) = H v + 2 H u. Each element of H v sums c products. */
static int check_hessian(struct probe *p)
{
    real u[N_MAX * C_MAX], hu[N_MAX * C_MAX], want[N_MAX * C_MAX];
    double eps = can_difference ? 1e-12 : 8 * C_MAX * REAL_EPS, left, right, scale;
    uint64_t seed = 5;

    TRY(probe_run(p));
    memcpy(u, p->b[YT].v, p->n * sizeof(real));
    memcpy(hu, p->b[GYT].v, p->n * sizeof(real));
    fill_uniform(p->n, p->b[YT].v, -1, 1, &seed);
    TRY(probe_run(p));
    left = dot(p->n, u, p->b[GYT].v);
    right = dot(p->n, hu, p->b[YT].v);
    scale = norm(p->n, u) * norm(p->n, p->b[GYT].v) + norm(p->n, hu) * norm(p->n, p->b[YT].v);
    if (!(fabs(left - right) <= eps * scale))
        return err(ERR_FAILED, "not symmetric: %.12g against %.12g", left, right);
    for (size_t i = 0; i < p->n; i++) {
        want[i] = p->b[GYT].v[i] + 2 * hu[i];
        p->b[YT].v[i] += 2 * u[i];
    }
    TRY(probe_run(p));
    return near("not linear", p->n, p->b[GYT].v, want, eps * largest(p->n, want));
}

/* A mean over samples: a sample twice has the value of it once, and half the gradient each time. */
static int check_mean_of(struct probe *p)
{
    size_t c = (size_t)p->c;
    double one, two = probe_value(p);
    real half[C_MAX];

    TRY(probe_run(p));
    memcpy(half, p->b[GY].v, c * sizeof(real));
    p->batch.n = 1;
    one = probe_value(p);
    p->ops->grad(&p->batch, p->c, p->b[Y].v, p->b[GY].v);
    for (size_t i = 0; i < c; i++)
        half[i] *= 2;
    if (!(fabs(one - two) <= 8 * REAL_EPS * fabs(one)))
        return err(ERR_FAILED, "not a mean: %.12g, twice %.12g", one, two);
    return near("not a mean: gradient", c, p->b[GY].v, half, 8 * REAL_EPS * largest(c, half));
}

static int check_mean(const struct loss_ops *ops, int c)
{
    struct probe p;
    int code;

    probe_init(&p, ops, 2, c, 3);
    for (int i = Y; i <= TARGET; i++)
        memcpy(p.b[i].v + c, p.b[i].v, (size_t)c * sizeof(real));
    p.label[1] = p.label[0];
    code = check_mean_of(&p);
    probe_release(&p);
    return code;
}

static int check_once(const struct loss_ops *ops, int n, int c)
{
    struct probe p;
    int code;

    probe_init(&p, ops, n, c, (uint64_t)(100 * n + c));
    code = probe_run(&p);
    if (!code && ops->grad_tangent)
        code = check_hessian(&p);
    if (!code && can_difference)
        code = check_grad(&p);
    if (!code && can_difference && ops->grad_tangent)
        code = check_grad_tangent(&p);
    probe_release(&p);
    return code ? err_within(code, "%s, n %d, c %d", ops->name, n, c) : 0;
}

static int loss_check(const struct loss_ops *ops)
{
    static const int widths[] = {1, 2, 5, C_MAX};

    for (size_t i = 0; i < sizeof widths / sizeof *widths; i++) {
        TRY(check_mean(ops, widths[i]));
        for (int n = 1; n <= N_MAX; n++)
            TRY(check_once(ops, n, widths[i]));
    }
    return 0;
}

static void test_table(void **state)
{
    (void)state;
    assert_non_null(loss_table[0]);
    for (const struct loss_ops *const *ops = loss_table; *ops; ops++) {
        if (loss_check(*ops))
            fail_msg("%s", err_text());
        assert_ptr_equal(loss_find((*ops)->name), *ops);
        assert_non_null((*ops)->summary);
    }
    assert_null(loss_find("no such loss"));
}

static void test_differences(void **state)
{
    (void)state;
    if (can_difference) /* test_table did it */
        return;
    print_message("differences need REAL64: not run in " REAL_NAME "\n");
    skip();
}

/* ---- wrong losses, made from a right one: value = sum (y - target)^4 / (n c) ---- */

static double fourth_value(const struct batch *b, int c, const real *y)
{
    double sum = 0;

    for (int i = 0; i < b->n * c; i++)
        sum += pow((double)y[i] - b->target[i], 4);
    return sum / (b->n * c);
}

static void fourth(const struct batch *b, int c, const real *y, double factor, real *gy)
{
    for (int i = 0; i < b->n * c; i++)
        gy[i] = (real)(factor * pow((double)y[i] - b->target[i], 3) / (b->n * c));
}

static void fourth_tangent(const struct batch *b, int c, const real *y, const real *yt,
                           double factor, real *gyt)
{
    for (int i = 0; i < b->n * c; i++)
        gyt[i] = (real)(factor * pow((double)y[i] - b->target[i], 2) * yt[i] / (b->n * c));
}

static void right_grad(const struct batch *b, int c, const real *y, real *gy)
{
    fourth(b, c, y, 4, gy);
}

static void flipped_grad(const struct batch *b, int c, const real *y, real *gy)
{
    fourth(b, c, y, -4, gy);
}

static void sum_grad(const struct batch *b, int c, const real *y, real *gy)
{
    fourth(b, c, y, 4 * b->n, gy);
}

static void added_grad(const struct batch *b, int c, const real *y, real *gy)
{
    real before = gy[0];

    fourth(b, c, y, 4, gy);
    gy[0] += before;
}

static void beyond_grad(const struct batch *b, int c, const real *y, real *gy)
{
    fourth(b, c, y, 4, gy);
    gy[b->n * c] = 0;
}

static void right_tangent(const struct batch *b, int c, const real *y, const real *yt, real *gyt)
{
    fourth_tangent(b, c, y, yt, 12, gyt);
}

static void factor_tangent(const struct batch *b, int c, const real *y, const real *yt, real *gyt)
{
    fourth_tangent(b, c, y, yt, 24, gyt);
}

static void skewed_tangent(const struct batch *b, int c, const real *y, const real *yt, real *gyt)
{
    fourth_tangent(b, c, y, yt, 12, gyt);
    for (int i = 1; i < b->n * c; i++)
        gyt[i] += yt[i - 1];
}

static void curved_tangent(const struct batch *b, int c, const real *y, const real *yt, real *gyt)
{
    fourth_tangent(b, c, y, yt, 12, gyt);
    gyt[0] = fabs((double)yt[0]) > 1.5 ? 2 * gyt[0] : gyt[0];
}

static const struct {
    struct loss_ops ops;
    const char *expected;
    bool only_differences;
} broken[] = {
    {{"right", "", fourth_value, right_grad, right_tangent, NULL}, NULL, false},
    {{"right, first order", "", fourth_value, right_grad, NULL, NULL}, NULL, false},
    {{"flipped", "", fourth_value, flipped_grad, right_tangent, NULL}, "grad misses", true},
    {{"a sum", "", fourth_value, sum_grad, right_tangent, NULL}, "not a mean", false},
    {{"adds", "", fourth_value, added_grad, right_tangent, NULL}, "garbage in gy", false},
    {{"beyond", "", fourth_value, beyond_grad, right_tangent, NULL}, "beyond gy", false},
    {{"factor 2", "", fourth_value, right_grad, factor_tangent, NULL}, "grad_tangent misses", true},
    {{"skewed", "", fourth_value, right_grad, skewed_tangent, NULL}, "not symmetric", false},
    {{"curved", "", fourth_value, right_grad, curved_tangent, NULL}, "not ", false},
};

static void test_broken(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof broken / sizeof *broken; i++) {
        const char *name = broken[i].ops.name, *expected = broken[i].expected;
        int code = loss_check(&broken[i].ops);

        if (broken[i].only_differences && !can_difference)
            continue;
        if (!expected && code)
            fail_msg("rejects the right loss: %s", err_text());
        if (expected && !code)
            fail_msg("accepts '%s'", name);
        if (expected && !strstr(err_text(), expected))
            fail_msg("rejects '%s' for another reason: %s", name, err_text());
    }
}

/* ---- known values ---- */

static const struct loss_ops *cross_entropy(void)
{
    const struct loss_ops *ops = loss_find("cross_entropy");

    assert_non_null(ops);
    return ops;
}

static void test_uniform_logits(void **state)
{
    real y[3 * C_MAX];
    int label[3] = {0, 1, 1};
    struct batch b = {.n = 3, .label = label};

    (void)state;
    for (int i = 0; i < 3 * C_MAX; i++)
        y[i] = (real)0.25;
    for (int c = 2; c <= C_MAX; c++)
        assert_true(fabs(cross_entropy()->value(&b, c, y) - log(c)) < 1e-14);
}

/* softmax(0, log 2, log 5) = 1/8, 2/8, 5/8 */
static void test_softmax(void **state)
{
    real y[3] = {0, (real)log(2), (real)log(5)}, g[3], want[3] = {1.0 / 8, -6.0 / 8, 5.0 / 8};
    int label[1] = {1};
    struct batch b = {.n = 1, .label = label};

    (void)state;
    cross_entropy()->grad(&b, 3, y, g);
    assert_int_equal(near("softmax", 3, g, want, 4 * REAL_EPS), 0);
    assert_true(fabs(cross_entropy()->value(&b, 3, y) - log(4)) < 4 * REAL_EPS);
}

static void test_large_logits(void **state)
{
    real y[6] = {10000, -10000, 0, 10000, -10000, 0}, g[6], t[6];
    real yt[6] = {1, 1, 1, 1, 1, 1}, want[6] = {0, 0, 0, 0.5, -0.5, 0};
    int label[2] = {0, 1};
    struct batch b = {.n = 2, .label = label};

    (void)state;
    assert_true(fabs(cross_entropy()->value(&b, 3, y) - 10000) < 1e-9);
    cross_entropy()->grad(&b, 3, y, g);
    cross_entropy()->grad_tangent(&b, 3, y, yt, t);
    assert_int_equal(near("grad", 6, g, want, 0), 0);
    for (int i = 0; i < 6; i++)
        assert_true(t[i] == 0);
}

static void test_accuracy(void **state)
{
    real y[4 * 3] = {3, 1, 2, /**/ 1, 3, 2, /**/ 1, 2, 3, /**/ -1, -3, -2};
    real ties[2 * 3] = {1, 1, 1, /**/ 0, 2, 2};
    int right[4] = {0, 1, 2, 0}, wrong[4] = {1, 1, 2, 1};
    int first[2] = {0, 1}, last[2] = {2, 2};
    struct batch b = {.n = 4, .label = right};

    (void)state;
    assert_true(cross_entropy()->accuracy(&b, 3, y) == 1);
    b.label = wrong;
    assert_true(cross_entropy()->accuracy(&b, 3, y) == 0.5);
    b.n = 1;
    assert_true(cross_entropy()->accuracy(&b, 3, y) == 0);
    b = (struct batch){.n = 2, .label = first}; /* of equals the first answers, as torch.argmax */
    assert_true(cross_entropy()->accuracy(&b, 3, ties) == 1);
    b.label = last;
    assert_true(cross_entropy()->accuracy(&b, 3, ties) == 0);
}

static void test_mse(void **state)
{
    const struct loss_ops *ops = loss_find("mse");
    real y[4] = {1, 2, 3, 4}, target[4] = {0, 4, 3, 1}, g[4], want[4] = {0.5, -1, 0, 1.5};
    struct batch b = {.n = 2, .target = target};

    (void)state;
    assert_non_null(ops);
    assert_null(ops->accuracy);
    assert_true(ops->value(&b, 2, y) == 14.0 / 4);
    ops->grad(&b, 2, y, g);
    assert_int_equal(near("grad", 4, g, want, 0), 0);
}

/* ---- losses against a teacher, held to the same suite: the target is the teacher's ---- */

#define DISTILL(name_, temperature_)                                                               \
    static double name_##_value(const struct batch *b, int c, const real *y)                       \
    {                                                                                              \
        return distill_value(b->n, c, temperature_, y, b->target);                                 \
    }                                                                                              \
    static void name_##_grad(const struct batch *b, int c, const real *y, real *gy)                \
    {                                                                                              \
        distill_grad(b->n, c, temperature_, y, b->target, gy);                                     \
    }

DISTILL(cold, 0.5)
DISTILL(plain, 1)
DISTILL(warm, 4)

static double hinted_value(const struct batch *b, int c, const real *y)
{
    return hint_value(b->n, c, y, b->target);
}

static void hinted_grad(const struct batch *b, int c, const real *y, real *gy)
{
    hint_grad(b->n, c, y, b->target, gy);
}

/* the gradient without 1 / temperature, and with temperature^2 */
static void scaled_grad(const struct batch *b, int c, const real *y, real factor, real *gy)
{
    warm_grad(b, c, y, gy);
    for (int i = 0; i < b->n * c; i++)
        gy[i] *= factor;
}

static void no_temperature_grad(const struct batch *b, int c, const real *y, real *gy)
{
    scaled_grad(b, c, y, 4, gy);
}

static void hinton_grad(const struct batch *b, int c, const real *y, real *gy)
{
    scaled_grad(b, c, y, 16, gy);
}

static void teacher_grad(const struct batch *b, int c, const real *y, real *gy)
{
    distill_grad(b->n, c, 4, b->target, y, gy);
}

static void mse_like_grad(const struct batch *b, int c, const real *y, real *gy)
{
    hint_grad(b->n * c, 1, y, b->target, gy);
}

static const struct {
    struct loss_ops ops;
    const char *expected;
} against_teacher[] = {
    {{"distill, 1/2", "", cold_value, cold_grad, NULL, NULL}, NULL},
    {{"distill, 1", "", plain_value, plain_grad, NULL, NULL}, NULL},
    {{"distill, 4", "", warm_value, warm_grad, NULL, NULL}, NULL},
    {{"hint", "", hinted_value, hinted_grad, NULL, NULL}, NULL},
    {{"no 1/temperature", "", warm_value, no_temperature_grad, NULL, NULL}, "grad misses"},
    {{"temperature^2 inside", "", warm_value, hinton_grad, NULL, NULL}, "grad misses"},
    {{"the teacher's gradient", "", warm_value, teacher_grad, NULL, NULL}, "grad misses"},
    {{"mean over outputs", "", hinted_value, mse_like_grad, NULL, NULL}, "grad misses"},
};

static void test_against_teacher(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof against_teacher / sizeof *against_teacher; i++) {
        const char *expected = against_teacher[i].expected;
        int code = loss_check(&against_teacher[i].ops);

        if (expected && !can_difference)
            continue;
        if (!expected && code)
            fail_msg("rejects the right loss: %s", err_text());
        if (expected && (!code || !strstr(err_text(), expected)))
            fail_msg("'%s': %s", against_teacher[i].ops.name, code ? err_text() : "accepted");
    }
}

/* Temperature 2. Teacher 2 (0, log 2, log 5): p = (1, 2, 5)/8; student 2 (log 2, log 2, log 4): q =
 * (1, 1, 2)/4. Value log 4 - 5/8 log 2; gradient (q - p)/2 for each of one. Then a second sample
 * where both are p: its value is the entropy of p, its gradient 0. */
static void test_distill(void **state)
{
    double l2 = log(2), l5 = log(5), entropy = (l2 * 3 + 2 * l2 * 2 + 5 * (3 * l2 - l5)) / 8;
    real teacher[6] = {0, (real)(2 * l2),     (real)(2 * l5),
                       7, (real)(7 + 2 * l2), (real)(7 + 2 * l5)};
    real student[6] = {(real)(2 * l2), (real)(2 * l2), (real)(4 * l2), 0,
                       (real)(2 * l2), (real)(2 * l5)};
    real g[6], want[6] = {1.0 / 16, 0, -1.0 / 16}, half[6] = {1.0 / 32, 0, -1.0 / 32, 0, 0, 0};

    (void)state;
    assert_true(fabs(distill_value(1, 3, 2, student, teacher) - (2 * l2 - 5 * l2 / 8)) <
                4 * REAL_EPS);
    distill_grad(1, 3, 2, student, teacher, g);
    assert_int_equal(near("one", 3, g, want, 4 * REAL_EPS), 0);
    assert_true(fabs(distill_value(1, 3, 2, student + 3, teacher + 3) - entropy) < 8 * REAL_EPS);
    distill_grad(2, 3, 2, student, teacher, g);
    assert_int_equal(near("two", 6, g, half, 8 * REAL_EPS), 0);
}

/* A teacher that is sure, at temperature 1, is a label. */
static void test_distill_label(void **state)
{
    real y[6] = {1, -2, 0.5, 3, 0, -1}, sure[6] = {0, 2000, 0, 0, 0, 2000}, g[6], want[6];
    int label[2] = {1, 2};
    struct batch b = {.n = 2, .label = label};

    (void)state;
    assert_true(fabs(distill_value(2, 3, 1, y, sure) - cross_entropy()->value(&b, 3, y)) < 1e-14);
    distill_grad(2, 3, 1, y, sure, g);
    cross_entropy()->grad(&b, 3, y, want);
    assert_int_equal(near("grad", 6, g, want, 2 * REAL_EPS), 0);
}

/* Logits of any size: 10000 apart. */
static void test_distill_large(void **state)
{
    real y[3] = {10000, -10000, 0}, teacher[3] = {-10000, 10000, 0}, g[3], want[3] = {0.5, -0.5, 0};

    (void)state;
    assert_true(fabs(distill_value(1, 3, 2, y, teacher) - 10000) < 1e-9);
    distill_grad(1, 3, 2, y, teacher, g);
    assert_int_equal(near("grad", 3, g, want, 0), 0);
}

static void test_hint(void **state)
{
    real y[4] = {1, 2, 3, 4}, hint[4] = {0, 4, 3, 1}, g[4], want[4] = {0.5, -1, 0, 1.5};

    (void)state;
    assert_true(hint_value(2, 2, y, hint) == 14.0 / 4);
    assert_true(hint_value(1, 4, y, hint) == 7);
    hint_grad(2, 2, y, hint, g);
    assert_int_equal(near("grad", 4, g, want, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_differences),
        cmocka_unit_test(test_broken),
        cmocka_unit_test(test_uniform_logits),
        cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_large_logits),
        cmocka_unit_test(test_accuracy),
        cmocka_unit_test(test_mse),
        cmocka_unit_test(test_against_teacher),
        cmocka_unit_test(test_distill),
        cmocka_unit_test(test_distill_label),
        cmocka_unit_test(test_distill_large),
        cmocka_unit_test(test_hint),
    };

    return cmocka_run_group_tests_name("conform_loss", tests, NULL, NULL);
}
