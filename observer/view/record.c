/* record.c - little-endian, checksums rotated and shifted ("masked") as the format has it. */
#include "observer/view/record.h"

uint32_t record_crc(const void *bytes, size_t n)
{
    const unsigned char *p = bytes;
    uint32_t crc = 0xffffffff;

    for (size_t i = 0; i < n; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (0x82f63b78 & -(crc & 1));
    }
    return ~crc;
}

static uint32_t masked(uint32_t crc)
{
    return (crc >> 15 | crc << 17) + 0xa282ead8;
}

static void little_endian(unsigned char *to, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        to[i] = (unsigned char)(value >> 8 * i);
}

void record_write(FILE *f, const void *bytes, size_t n)
{
    unsigned char head[12], tail[4];

    little_endian(head, n, 8);
    little_endian(head + 8, masked(record_crc(head, 8)), 4);
    little_endian(tail, masked(record_crc(bytes, n)), 4);
    fwrite(head, 1, sizeof head, f);
    fwrite(bytes, 1, n, f);
    fwrite(tail, 1, sizeof tail, f);
}
