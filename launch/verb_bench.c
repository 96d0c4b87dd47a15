/* verb_bench.c - `metaloop bench`: whole tasks against sgemm, in one process, on one thread. */
#include <stdio.h>
#include <stdlib.h>

#include "core/base/clock.h"
#include "core/base/err.h"
#include "core/base/machine.h"
#include "core/math/blas.h"
#include "core/math/rng.h"
#include "launch/print.h"
#include "launch/solo.h"
#include "launch/timing.h"
#include "launch/verbs.h"
#include "worker/method_work.h"

enum { SIDE = 1024, REPEATS = 9 };

#define SLICE 0.25 /* seconds of tasks between two products */

struct bench {
    struct solo solo;
    struct timing timing;
    struct arena arena;
    real *a, *b, *c; /* SIDE x SIDE */
    double task_seconds[REPEATS], gemm_seconds[REPEATS];
};

static void lay_out(struct bench *b, struct arena *a)
{
    b->a = arena_reals(a, SIDE * SIDE);
    b->b = arena_reals(a, SIDE * SIDE);
    b->c = arena_reals(a, SIDE * SIDE);
}

static double time_gemm(struct bench *b)
{
    double start = clock_seconds();

    gemm(false, false, SIDE, SIDE, SIDE, b->a, SIDE, b->b, SIDE, 0, b->c, SIDE);
    return clock_seconds() - start;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *x)
{
    qsort(x, REPEATS, sizeof *x, compare);
    return x[REPEATS / 2];
}

/* Products and tasks alternate, so that a change of the machine's speed affects both. */
static int measure(struct bench *b)
{
    double ignored;
    struct rng r;

    rng_init(&r, 1, RNG_INIT, 0, 0);
    for (size_t i = 0; i < SIDE * SIDE; i++)
        b->a[i] = b->b[i] = (real)rng_uniform(&r, -1, 1);
    time_gemm(b);
    TRY(timing_tasks(&b->timing, SLICE, &ignored));
    for (int i = 0; i < REPEATS; i++) {
        b->gemm_seconds[i] = time_gemm(b);
        TRY(timing_tasks(&b->timing, SLICE, &b->task_seconds[i]));
    }
    return 0;
}

static void report(struct bench *b, bool json)
{
    double task = median(b->task_seconds), product = median(b->gemm_seconds);
    double flops =
        method_flops(&b->solo.setup, b->solo.stage) * (b->timing.state ? b->solo.stage->steps : 1);
    double peak = 2.0 * SIDE * SIDE * SIDE / product / 1e9, reached = flops / task / 1e9;
    double peak_mb = machine_peak_mib() * 1.048576;

    if (json) {
        print_json(json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:s}", "stage",
                             b->solo.stage->config->name, "tasks_per_second", 1 / task,
                             "mflop_per_task", flops / 1e6, "gflops", reached, "sgemm_gflops", peak,
                             "share", reached / peak, "peak_mb", peak_mb, "blas", blas_kernel()));
        return;
    }
    printf("stage '%s', one thread, OpenBLAS kernel %s, medians of %d\n",
           b->solo.stage->config->name, blas_kernel(), REPEATS);
    printf("  tasks per second     %10.1f\n", 1 / task);
    printf("  useful GFLOP/s       %10.1f   (%.4g MFLOP a task)\n", reached, flops / 1e6);
    printf("  gemm %d^3 GFLOP/s  %10.1f   (same process)\n", SIDE, peak);
    printf("  share                %10.1f %%\n", 100 * reached / peak);
    printf("  peak resident memory %10.1f MB  (12.6 MB of it the product's matrices)\n", peak_mb);
}

static int bench_work(struct bench *b, const struct options *o)
{
    struct arena sizes = arena_measuring();

    lay_out(b, &sizes);
    TRY(arena_init(&b->arena, sizes.peak));
    lay_out(b, &b->arena);
    TRY(timing_open(&b->timing, &b->solo.setup, b->solo.stage));
    TRY(measure(b));
    report(b, o->json);
    return 0;
}

static int bench(const struct options *o)
{
    struct bench b = {0};
    int code;

    TRY(solo_open(&b.solo, o));
    code = bench_work(&b, o);
    timing_close(&b.timing);
    arena_release(&b.arena);
    solo_close(&b.solo);
    return code;
}

const struct verb verb_bench = {
    .name = "bench",
    .places = "CONFIGURATION",
    .min_places = 1,
    .max_places = 1,
    .options = "set stage data-root json",
    .summary =
        "measure tasks per second, useful GFLOP/s, and their share of a matrix product's speed",
    .text = "Useful operations are the multiply-adds of convolutions and matrix products,\n"
            "counted as two: a forward and backward pass per inner step and on the query set,\n"
            "and, if the method is exact, twice that per inner step for the Hessian-vector\n"
            "product.",
    .run = bench,
};
