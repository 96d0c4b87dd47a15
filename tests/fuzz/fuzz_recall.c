/* fuzz_recall.c - what a checkpoint remembers of its data: two sections, "d" and "e". */
#include "core/data/recall.h"
#include "tests/fuzz/fuzz.h"

static void try_section(const char *text, const char *name)
{
    struct data d;
    char class_name[64];
    int code = data_recall(&d, text, name);

    EXPECT(code == 0 || code == 1 || code == ERR_DATA);
    if (code != 0)
        return;
    EXPECT(d.shape.h > 0 && d.shape.w > 0 && d.shape.c > 0 && d.n_classes > 0);
    data_class_name(&d, d.n_classes - 1, class_name, sizeof class_name);
    EXPECT(data_recalled(&d));
    data_close(&d);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *text = calloc(n + 1, 1);

    EXPECT(text);
    memcpy(text, bytes, n);
    try_section(text, "d");
    try_section(text, "e");
    free(text);
    return 0;
}
