/* utf8.c - RFC 3629. */
#include "core/base/utf8.h"

/* The length of a character by its first byte; 0 if no character begins with it. */
static int length_of(unsigned char first)
{
    return first < 0x80         ? 1
           : first >> 5 == 0x6  ? 2
           : first >> 4 == 0xe  ? 3
           : first >> 3 == 0x1e ? 4
                                : 0;
}

int utf8_read(const char *s, uint32_t *code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000}; /* by length: less is overlong */
    const unsigned char *p = (const unsigned char *)s;
    int n = length_of(*p);
    uint32_t x = n == 1 ? *p : *p & (0x7fu >> n);

    for (int i = 1; i < n; i++) {
        if (p[i] >> 6 != 2)
            return 0;
        x = x << 6 | (p[i] & 0x3f);
    }
    if (n > 1 && (x < least[n] || x > 0x10ffff || (x >= 0xd800 && x < 0xe000)))
        return 0;
    if (code)
        *code = x;
    return n;
}
