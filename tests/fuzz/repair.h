/* repair.h - mutations behind a checksum: after each, what guards the bytes is put right, so that
 * they reach the code behind it. One mutation in eight is left as it is. */
#ifndef TESTS_FUZZ_REPAIR_H
#define TESTS_FUZZ_REPAIR_H

#include <xxhash.h>
#include <zlib.h>

#include "tests/fuzz/fuzz.h"

#define REPAIR_WITH(repair)                                                                        \
    size_t LLVMFuzzerCustomMutator(uint8_t *bytes, size_t n, size_t room, unsigned seed)           \
    {                                                                                              \
        n = LLVMFuzzerMutate(bytes, n, room);                                                      \
        if (seed % 8 != 0)                                                                         \
            repair(bytes, n);                                                                      \
        return n;                                                                                  \
    }

static inline uint32_t little_get(const uint8_t *at, int n)
{
    uint32_t x = 0;

    while (n-- > 0)
        x = x << 8 | at[n];
    return x;
}

static inline void little_put(uint8_t *at, uint32_t x)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(x >> 8 * i);
}

/* How long the chunk at `at` may be: up to the next one of image data, or the end. */
static inline size_t png_room(const uint8_t *bytes, size_t n, size_t at)
{
    for (size_t next = at + 12; next + 12 <= n; next++)
        if (memcmp(bytes + next + 4, "IDAT", 4) == 0 || memcmp(bytes + next + 4, "IEND", 4) == 0)
            return next - at - 12;
    return n - at - 12;
}

static inline void big_put(uint8_t *at, uint32_t x)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(x >> (24 - 8 * i));
}

/* The length and the CRC of each chunk. */
static inline void repair_png(uint8_t *bytes, size_t n)
{
    for (size_t at = 8, length; at + 12 <= n; at += 12 + length) {
        length = (size_t)bytes[at] << 24 | (size_t)bytes[at + 1] << 16 |
                 (size_t)bytes[at + 2] << 8 | bytes[at + 3];
        if (length > png_room(bytes, n, at))
            length = png_room(bytes, n, at);
        big_put(bytes + at, (uint32_t)length);
        big_put(bytes + at + 8 + length, (uint32_t)crc32(0, bytes + at + 4, (uInt)length + 4));
    }
}

/* The CRC of a stored member, whose entry in the central directory lies at e. */
static inline void repair_member(uint8_t *bytes, size_t n, uint8_t *e)
{
    size_t local = little_get(e + 42, 4), size = little_get(e + 20, 4), start;
    uint32_t crc;

    if (little_get(e + 10, 2) != 0 || local + 30 > n || memcmp(bytes + local, "PK\3\4", 4) != 0)
        return;
    start = local + 30 + little_get(bytes + local + 26, 2) + little_get(bytes + local + 28, 2);
    if (start > n || size > n - start)
        return;
    crc = (uint32_t)crc32(0, bytes + start, (uInt)size);
    little_put(bytes + local + 14, crc);
    little_put(e + 16, crc);
}

static inline void repair_zip(uint8_t *bytes, size_t n)
{
    for (size_t at = 0; at + 46 <= n; at++)
        if (memcmp(bytes + at, "PK\1\2", 4) == 0)
            repair_member(bytes, n, bytes + at);
}

/* The sum of each block that looks like a tar header. */
static inline void repair_tar(uint8_t *bytes, size_t n)
{
    for (size_t at = 0; at + 512 <= n; at += 512) {
        uint8_t *block = bytes + at;
        unsigned sum = 0;
        char digits[8];

        if (memcmp(block + 257, "ustar", 5) != 0)
            continue;
        memset(block + 148, ' ', 8);
        for (int i = 0; i < 512; i++)
            sum += block[i];
        snprintf(digits, sizeof digits, "%06o", sum);
        memcpy(block + 148, digits, 7);
    }
}

/* The digest in a header that states one, over the whole file with its digits zero. */
static inline void repair_digest(uint8_t *bytes, size_t n)
{
    static const char key[] = "\"digest\": \"";
    uint8_t *at = memmem(bytes, n, key, sizeof key - 1);
    char digits[17];

    if (!at || (size_t)(bytes + n - at) < sizeof key - 1 + 16)
        return;
    at += sizeof key - 1;
    memset(at, '0', 16);
    snprintf(digits, sizeof digits, "%016llx", (unsigned long long)XXH64(bytes, n, 0));
    memcpy(at, digits, 16);
}

/* The length of the JSON header, up to the last brace, and the digest. */
static inline void repair_safetensors(uint8_t *bytes, size_t n)
{
    size_t at = n;

    while (at > 9 && bytes[at - 1] != '}')
        at--;
    if (at <= 9)
        return;
    little_put(bytes, (uint32_t)(at - 8));
    little_put(bytes + 4, 0);
    repair_digest(bytes, n);
}

#endif
