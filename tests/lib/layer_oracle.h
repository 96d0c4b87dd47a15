/* layer_oracle.h - one output of each layer of the table, computed in double by the definition. */
#ifndef TESTS_LIB_LAYER_ORACLE_H
#define TESTS_LIB_LAYER_ORACLE_H

#include "tests/lib/probe.h"

/* An operand at sample s, row y, column x, channel c of a map. */
static real *at(real *v, struct shape shape, int s, int y, int x, int c)
{
    return v +
           (((size_t)s * (size_t)shape.h + (size_t)y) * (size_t)shape.w + (size_t)x) *
               (size_t)shape.c +
           c;
}

/* One output of the layer, in double, from p's x and w. */
typedef double oracle(const struct probe *p, int s, int oy, int ox, int oc);

/* PyTorch's Conv2d; w is [out][kh][kw][in], then the bias. Zero outside the map. */
static double conv_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    const struct layer *l = &p->l;
    int k = l->spec.kernel, channels = l->in.c;
    const real *w = p->b[W].v + (size_t)(oc * k * k * channels);
    double sum = l->spec.bias ? p->b[W].v[(size_t)(l->out.c * k * k * channels) + oc] : 0;

    for (int ky = 0; ky < k; ky++)
        for (int kx = 0; kx < k; kx++)
            for (int c = 0; c < channels; c++) {
                int y = oy * l->spec.stride - l->spec.pad + ky;
                int x = ox * l->spec.stride - l->spec.pad + kx;

                if (y >= 0 && y < l->in.h && x >= 0 && x < l->in.w)
                    sum +=
                        (double)w[(ky * k + kx) * channels + c] * *at(p->b[X].v, l->in, s, y, x, c);
            }
    return sum;
}

static double dense_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    int in = p->l.in.c;
    double sum = p->l.spec.bias ? p->b[W].v[in * p->l.out.c + oc] : 0;

    (void)oy, (void)ox;
    for (int i = 0; i < in; i++)
        sum += (double)p->b[W].v[oc * in + i] * *at(p->b[X].v, p->l.in, s, 0, 0, i);
    return sum;
}

static double batchnorm_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    size_t c = (size_t)p->l.in.c, m = p->b[X].n / c;
    const real *w = p->b[W].v + oc, *x = p->b[X].v + oc;
    long double mean = 0, var = 0;

    for (size_t i = 0; i < m; i++)
        mean += (long double)x[i * c] / m;
    for (size_t i = 0; i < m; i++)
        var += (x[i * c] - mean) * (x[i * c] - mean) / m;
    if (p->evaluate && p->l.spec.running) {
        mean = w[2 * c];
        var = w[3 * c];
    }
    mean = (*at(p->b[X].v, p->l.in, s, oy, ox, oc) - mean) / sqrtl(var + 1e-5L);
    return (double)(w[0] * mean + w[c]);
}

static double batchnorm_relu_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    return fmax(0, batchnorm_oracle(p, s, oy, ox, oc));
}

static double relu_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    return fmax(0, *at(p->b[X].v, p->l.in, s, oy, ox, oc));
}

static double tanh_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    return tanh(*at(p->b[X].v, p->l.in, s, oy, ox, oc));
}

/* Without a percent nothing is dropped; the masks have tests of their own. */
static double dropout_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    return *at(p->b[X].v, p->l.in, s, oy, ox, oc);
}

static double leaky_relu_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    double x = *at(p->b[X].v, p->l.in, s, oy, ox, oc);

    return fmax(x, 0.01 * (p->l.spec.percent ? p->l.spec.percent : 10) * x);
}

/* ---- the residual block, in double ---- */

/* y = conv k x k of x, c to f channels, padded; w [f][k][k][c] */
static void block_conv(struct shape in, int n, int f, int k, const real *w, const double *x,
                       double *y)
{
    for (int i = 0; i < n * in.h * in.w * f; i++) {
        int o = i % f, ox = i / f % in.w, oy = i / f / in.w % in.h, s = i / f / in.w / in.h;

        y[i] = 0;
        for (int j = 0; j < k * k * in.c; j++) {
            int c = j % in.c, ix = ox + j / in.c % k - k / 2, iy = oy + j / in.c / k - k / 2;

            if (iy >= 0 && iy < in.h && ix >= 0 && ix < in.w)
                y[i] += w[o * k * k * in.c + j] * x[((s * in.h + iy) * in.w + ix) * in.c + c];
        }
    }
}

/* y = gamma xhat + beta over m rows of f channels; w = gamma, beta, mean, var; keeps what it saw */
static void block_norm(int m, int f, const real *w, bool fixed, double *y, double *seen)
{
    for (int c = 0; c < f; c++) {
        double mean = 0, var = 0, scale;

        for (int i = 0; i < m; i++)
            mean += y[i * f + c] / m;
        for (int i = 0; i < m; i++)
            var += (y[i * f + c] - mean) * (y[i * f + c] - mean) / m;
        seen[c] = mean, seen[f + c] = var * m / (m - 1);
        mean = fixed ? w[2 * f + c] : mean, var = fixed ? w[3 * f + c] : var;
        scale = w[c] / sqrt(var + 1e-5);
        for (int i = 0; i < m; i++)
            y[i * f + c] = (y[i * f + c] - mean) * scale + w[f + c];
    }
}

static void block_act(int n, double *y)
{
    for (int i = 0; i < n; i++)
        y[i] = fmax(y[i], 0.1 * y[i]);
}

enum { BLOCK_MOST = 1024 };

/* y = the block of p's x; seen = mean and variance that each of its four batch norms observed. */
static void block_oracle(const struct probe *p, double *y, double *seen)
{
    double x[BLOCK_MOST], z[BLOCK_MOST];
    struct shape in = p->l.in, inner = p->l.out;
    int f = inner.c, m = p->n * in.h * in.w, norm = (p->l.spec.running ? 4 : 2) * f;
    bool fixed = p->evaluate && p->l.spec.running;
    const real *w = p->b[W].v;

    assert_true(m * f <= BLOCK_MOST && p->b[X].n <= BLOCK_MOST);
    for (size_t i = 0; i < p->b[X].n; i++)
        z[i] = p->b[X].v[i];
    for (int k = 0; k < 3; k++) {
        block_conv(k ? inner : in, p->n, f, 3, w, z, y);
        w += 9 * (k ? f : in.c) * f;
        block_norm(m, f, w, fixed, y, seen + 2 * f * k);
        w += norm;
        memcpy(z, y, (size_t)(m * f) * sizeof *z);
        block_act(k < 2 ? m * f : 0, z);
    }
    for (size_t i = 0; i < p->b[X].n; i++)
        x[i] = p->b[X].v[i];
    block_conv(in, p->n, f, 1, w, x, y);
    block_norm(m, f, w + in.c * f, fixed, y, seen + 6 * f);
    for (int i = 0; i < m * f; i++)
        y[i] += z[i];
    block_act(m * f, y);
}

static double residual_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    double y[BLOCK_MOST], seen[BLOCK_MOST];
    struct shape out = p->l.out;

    block_oracle(p, y, seen);
    return y[((s * out.h + oy) * out.w + ox) * out.c + oc];
}

static double maxpool_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    int k = p->l.spec.kernel, kw = p->l.in.w == 1 ? 1 : k, stride = p->l.spec.stride;
    double max = -INFINITY;

    for (int i = 0; i < k * kw; i++)
        max = fmax(max, *at(p->b[X].v, p->l.in, s, oy * stride + i / kw, ox * stride + i % kw, oc));
    return max;
}

static double meanpool_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    int kh = p->l.spec.kernel ? p->l.spec.kernel : p->l.in.h;
    int kw = p->l.spec.kernel && p->l.in.w > 1 ? p->l.spec.kernel : p->l.in.w,
        stride = p->l.spec.stride;
    double sum = 0;

    for (int i = 0; i < kh * kw; i++)
        sum += *at(p->b[X].v, p->l.in, s, oy * stride + i / kw, ox * stride + i % kw, oc);
    return sum / (kh * kw);
}

/* Channel first, then row, then column. */
static double flatten_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    struct shape in = p->l.in;

    (void)oy, (void)ox;
    return *at(p->b[X].v, in, s, oc / in.w % in.h, oc % in.w, oc / in.w / in.h);
}

/* PyTorch's Conv1d; w is [out][k][in]. */
static double conv1d_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    const struct layer *l = &p->l;
    int k = l->spec.kernel, channels = l->in.c;
    const real *w = p->b[W].v + (size_t)(oc * k * channels);
    double sum = l->spec.bias ? p->b[W].v[(size_t)(l->out.c * k * channels) + oc] : 0;

    for (int i = 0; i < k * channels; i++) {
        int y = oy * l->spec.stride - l->spec.pad + i / channels;

        if (y >= 0 && y < l->in.h)
            sum += (double)w[i] * *at(p->b[X].v, l->in, s, y, ox, i % channels);
    }
    return sum;
}

/* Of one value among those at positions y0 .. y1, channels c0 .. c1 of its sample. */
static double norm_oracle(const struct probe *p, int s, int oy, int ox, int oc, const int *y,
                          const int *x, const int *c)
{
    long double n = 0, mean = 0, var = 0;

    for (int pass = 0; pass < 2; pass++) {
        n = 0;
        for (int i = y[0]; i < y[1]; i++)
            for (int j = x[0]; j < x[1]; j++)
                for (int k = c[0]; k < c[1]; k++, n++) {
                    long double v = *at(p->b[X].v, p->l.in, s, i, j, k);

                    mean += pass ? 0 : v;
                    var += pass ? (v - mean) * (v - mean) : 0;
                }
        mean /= pass ? 1 : n;
    }
    mean = (*at(p->b[X].v, p->l.in, s, oy, ox, oc) - mean) / sqrtl(var / n + 1e-5L);
    return (double)(p->b[W].v[oc] * mean + p->b[W].v[p->l.in.c + oc]);
}

static double groupnorm_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    struct shape in = p->l.in;
    int width = in.c / p->l.spec.groups, first = oc / width * width;

    return norm_oracle(p, s, oy, ox, oc, (int[]){0, in.h}, (int[]){0, in.w},
                       (int[]){first, first + width});
}

static double layernorm_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    return norm_oracle(p, s, oy, ox, oc, (int[]){oy, oy + 1}, (int[]){ox, ox + 1},
                       (int[]){0, p->l.in.c});
}

static double normalize_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    const real *w = p->b[W].v;

    return ((double)*at(p->b[X].v, p->l.in, s, oy, ox, oc) - w[oc]) / w[p->l.in.c + oc];
}

static double gelu_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    long double x = *at(p->b[X].v, p->l.in, s, oy, ox, oc);

    return (double)(x / 2 * (1 + erfl(x / sqrtl(2))));
}

static double silu_oracle(const struct probe *p, int s, int oy, int ox, int oc)
{
    long double x = *at(p->b[X].v, p->l.in, s, oy, ox, oc);

    return (double)(x / (1 + expl(-x)));
}

#endif
