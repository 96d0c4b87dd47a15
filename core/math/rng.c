/* rng.c - Philox4x32-10 by Random123. */
#include "core/math/rng.h"

#include <Random123/philox.h>
#include <assert.h>
#include <math.h>

void rng_init(struct rng *r, uint64_t seed, uint32_t stream, uint32_t round, uint32_t slot)
{
    *r = (struct rng){.seed = seed, .stream = stream, .round = round, .slot = slot};
}

static void rng_fill(struct rng *r)
{
    philox4x32_key_t key = {{(uint32_t)r->seed, (uint32_t)(r->seed >> 32)}};
    philox4x32_ctr_t counter = {{r->index / 4, r->slot, r->round, r->stream}};
    philox4x32_ctr_t block = philox4x32(counter, key);

    for (int i = 0; i < 4; i++)
        r->block[i] = block.v[i];
}

void rng_words(const struct rng *r, uint32_t first, size_t n, uint32_t *words)
{
    philox4x32_key_t key = {{(uint32_t)r->seed, (uint32_t)(r->seed >> 32)}};
    uint32_t slot = r->slot, round = r->round, stream = r->stream;

#pragma omp simd
    for (size_t i = 0; i < n; i++) {
        philox4x32_ctr_t counter = {{first + (uint32_t)i, slot, round, stream}};
        philox4x32_ctr_t block = philox4x32(counter, key);

        words[4 * i] = block.v[0];
        words[4 * i + 1] = block.v[1];
        words[4 * i + 2] = block.v[2];
        words[4 * i + 3] = block.v[3];
    }
}

uint32_t rng_u32(struct rng *r)
{
    if (r->index % 4 == 0)
        rng_fill(r);
    return r->block[r->index++ % 4];
}

/* Lemire (2019): multiply, and reject the few products that would favour some numbers. */
uint32_t rng_below(struct rng *r, uint32_t n)
{
    uint64_t product;
    uint32_t reject;

    assert(n > 0);
    product = (uint64_t)rng_u32(r) * n;
    reject = -n % n;
    while ((uint32_t)product < reject)
        product = (uint64_t)rng_u32(r) * n;
    return (uint32_t)(product >> 32);
}

double rng_uniform(struct rng *r, double low, double high)
{
    uint64_t high_bits = rng_u32(r) >> 5, low_bits = rng_u32(r) >> 6; /* 27 + 26 bits */

    return low + (high - low) * ((double)(high_bits << 26 | low_bits) * 0x1p-53);
}

/* Box and Muller (1958), one of the pair. */
double rng_normal(struct rng *r)
{
    double u = 1 - rng_uniform(r, 0, 1), angle = rng_uniform(r, 0, 2 * M_PI);

    return sqrt(-2 * log(u)) * cos(angle);
}

static int chosen_has(const uint32_t *chosen, uint32_t n, uint32_t x)
{
    while (n > 0)
        if (chosen[--n] == x)
            return 1;
    return 0;
}

/* Floyd's sample (Bentley and Floyd 1987) is uniform as a set; the shuffle makes its order so. */
void rng_choose(struct rng *r, uint32_t n, uint32_t k, uint32_t *chosen)
{
    assert(k <= n);
    for (uint32_t i = 0; i < k; i++) {
        uint32_t last = n - k + i, pick = rng_below(r, last + 1);

        chosen[i] = chosen_has(chosen, i, pick) ? last : pick;
    }
    for (uint32_t i = k; i > 1; i--) {
        uint32_t j = rng_below(r, i), swap = chosen[j];

        chosen[j] = chosen[i - 1];
        chosen[i - 1] = swap;
    }
}

struct feistel {
    philox4x32_key_t key;
    uint32_t stream, epoch, n;
    int half; /* bits */
};

/* A balanced Feistel network (Luby and Rackoff 1988): a permutation of the numbers of 2 * half
 * bits. */
static uint32_t feistel_map(const struct feistel *f, uint32_t x)
{
    uint32_t mask = (1u << f->half) - 1, left = x >> f->half, right = x & mask;

    for (uint32_t round = 0; round < 8; round++) {
        philox4x32_ctr_t at = {{round << 16 | right, f->n, f->epoch, f->stream}};
        uint32_t next = left ^ (philox4x32(at, f->key).v[0] & mask);

        left = right;
        right = next;
    }
    return left << f->half | right;
}

/* Goes on around its cycle until it is below n again (Black and Rogaway 2002). */
uint32_t rng_permute(uint64_t seed, uint32_t stream, uint32_t epoch, uint32_t n, uint32_t i)
{
    struct feistel f = {.key = {{(uint32_t)seed, (uint32_t)(seed >> 32)}},
                        .stream = stream,
                        .epoch = epoch,
                        .n = n,
                        .half = 1};

    assert(i < n && n <= 1u << 31);
    while (f.half < 16 && n > 1u << 2 * f.half)
        f.half++;
    do
        i = feistel_map(&f, i);
    while (i >= n);
    return i;
}
