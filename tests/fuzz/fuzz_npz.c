/* fuzz_npz.c - images and labels as members of a zip. */
#include "tests/fuzz/repair.h"
#include "tests/fuzz/try_data.h"

REPAIR_WITH(repair_zip)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct scratch file;

    try_data(&(struct data_config){
        .name = "fuzz", .format = "npz", .path = (char *)scratch_put(&file, bytes, n)});
    return 0;
}
