/* texture.c - linear between the corners of a coarse grid. */
#include "core/data/texture.h"

void texture_init(struct texture *t, struct rng *r)
{
    for (int i = 0; i <= TEXTURE_CELLS; i++)
        for (int j = 0; j <= TEXTURE_CELLS; j++)
            t->grid[i][j] = noise_of(rng_u32(r), 0);
}

double texture_at(const struct texture *t, int i, int j, int h, int w)
{
    double y = (double)i * TEXTURE_CELLS / h, x = (double)j * TEXTURE_CELLS / w;
    int a = (int)y, b = (int)x;
    double top = t->grid[a][b] + (x - b) * (t->grid[a][b + 1] - t->grid[a][b]);
    double low = t->grid[a + 1][b] + (x - b) * (t->grid[a + 1][b + 1] - t->grid[a + 1][b]);

    return top + (y - a) * (low - top);
}
