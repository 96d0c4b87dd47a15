/* resize.h - a rectangle of one image to another size, antialiased, channels last, no gamma
 * conversion. */
#ifndef CORE_DATA_RESIZE_H
#define CORE_DATA_RESIZE_H

#include <stddef.h>
#include <stdint.h>

struct patch {  /* of an image */
    int h, w;   /* pixels */
    size_t at;  /* its first number */
    size_t row; /* numbers from one line to the next */
};

/* Fills area b of `to` with area a of `from`, of c channels each. Areas of one size are copied.
 * ERR_MEMORY. */
int resize_bytes(const uint8_t *from, struct patch a, uint8_t *to, struct patch b, int c);
int resize_floats(const float *from, struct patch a, float *to, struct patch b,
                  int c); /* kept in 0..1 */

#endif
