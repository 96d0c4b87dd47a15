/* fuzz_png.c - one PNG file. */
#include "core/data/png.h"
#include "tests/fuzz/repair.h"

REPAIR_WITH(repair_png)

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct picture p = {.size = 0};
    int code = png_decode(&p, bytes, n, 32 << 20, "fuzz.png");

    if (code < 0) {
        EXPECT_REFUSAL(code, ERR_DATA);
    } else {
        EXPECT(p.shape.c >= 1 && p.shape.c <= 4);
        EXPECT(p.shape.h > 0 && p.shape.w > 0 && shape_size(p.shape) <= p.size);
    }
    picture_release(&p);
    return 0;
}
