/* picture.c - room for pixels. */
#include "core/data/picture.h"

#include <stdlib.h>

bool picture_room(struct picture *p, size_t size)
{
    uint8_t *pixels = p->pixels;

    if (size <= p->size)
        return true;
    p->pixels = NULL; /* first, so that both are never there */
    p->size = 0;
    free(pixels);
    p->pixels = malloc(size);
    p->size = p->pixels ? size : 0;
    return p->pixels;
}

void picture_release(struct picture *p)
{
    free(p->pixels);
    *p = (struct picture){0};
}
