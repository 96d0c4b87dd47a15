/* fuzz_tar.c - a tar or tar.gz of PNG files in class folders; every other length is resized. */
#include "tests/fuzz/repair.h"
#include "tests/fuzz/try_data.h"

REPAIR_WITH(repair_tar)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct scratch file;

    try_data(&(struct data_config){.name = "fuzz",
                                   .format = "folder",
                                   .path = (char *)scratch_put(&file, bytes, n),
                                   .resize = n % 2 ? 5 : 0});
    return 0;
}
