/* fuzz_idx.c - images and labels as idx, plain or gzip: two bytes say how long the images' file is,
 * the labels' file is the rest. */
#include "tests/fuzz/try_data.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct scratch images, labels;
    struct data_config c = {.name = "fuzz", .format = "idx"};
    size_t split;

    if (n < 2)
        return 0;
    split = (size_t)bytes[0] | (size_t)bytes[1] << 8;
    n -= 2;
    split = split < n ? split : n;
    c.path = (char *)scratch_put(&images, bytes + 2, split);
    c.labels = (char *)scratch_put(&labels, bytes + 2 + split, n - split);
    c.invert = n % 2;
    try_data(&c);
    return 0;
}
