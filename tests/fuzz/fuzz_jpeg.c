/* fuzz_jpeg.c - one JPEG file. */
#include "core/data/jpeg.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct picture p = {.size = 0};
    int code = jpeg_decode(&p, bytes, n, 4 << 20, "fuzz.jpg");

    if (code < 0) {
        EXPECT_REFUSAL(code, ERR_DATA);
    } else {
        EXPECT(p.shape.c == 1 || p.shape.c == 3);
        EXPECT(p.shape.h > 0 && p.shape.w > 0 && shape_size(p.shape) <= p.size);
    }
    picture_release(&p);
    return 0;
}
