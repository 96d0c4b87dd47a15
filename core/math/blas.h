/* blas.h - all calls of OpenBLAS. Matrices are row-major. */
#ifndef CORE_MATH_BLAS_H
#define CORE_MATH_BLAS_H

#include <cblas.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/base/real.h"

/* Address space that a thread needs before its first product: OpenBLAS's buffer (if that cannot be
 * had, OpenBLAS tries for ever), the stack, and malloc's arena. */
#define BLAS_THREAD_ROOM ((size_t)208 << 20)

/* C (m x n) = op(A) op(B) + beta C, op(A) (m x k), op(B) (k x n); `ta`, `tb`: transposed in
 * memory. */
static inline void gemm(bool ta, bool tb, int m, int n, int k, const real *a, int lda,
                        const real *b, int ldb, real beta, real *c, int ldc)
{
#ifdef REAL64
    cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, m, n,
                k, 1, a, lda, b, ldb, beta, c, ldc);
#else
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans, m, n,
                k, 1, a, lda, b, ldb, beta, c, ldc);
#endif
}

/* Sets BLAS to one thread: threads run tasks, and bits depend on how BLAS splits a product. */
static inline void blas_single_thread(void)
{
    openblas_set_num_threads(1);
}

/* The kernel in use, "SkylakeX": results are the same bits only under the same one. */
static inline const char *blas_kernel(void)
{
    return openblas_get_corename();
}

#endif
