/* fuzz_csv.c - a table: its first byte chooses the keys, the rest is the file. */
#include <math.h>

#include "core/config/config.h"
#include "core/data/data.h"
#include "core/data/survey.h"
#include "tests/fuzz/fuzz.h"

enum { TRIED = 64 };

static void try_rows(const struct data *d, bool holes)
{
    size_t n = shape_size(d->shape);
    real *x = calloc(n + (size_t)d->n_target + 1, sizeof *x);
    struct survey survey;
    uint32_t class_id;

    EXPECT(x && d->n_samples > 0 && d->n_classes > 0 && data_survey(d, &survey) == 0);
    for (uint32_t i = 0; i < d->n_samples && i < TRIED; i++) {
        EXPECT(data_read_flat(d, i, x) == 0 && data_label_flat(d, i, &class_id) == 0);
        EXPECT(class_id < d->n_classes && data_class_size(d, class_id) > 0);
        for (size_t k = 0; k < n; k++)
            EXPECT(isfinite(x[k]) || (holes && isnan(x[k])));
        EXPECT(!d->n_target || data_target_flat(d, i, x + n) == 0);
        for (int k = 0; k < d->n_target; k++)
            EXPECT(!isinf(x[n + (size_t)k]));
    }
    free(x);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct scratch file;
    unsigned keys = n > 0 ? bytes[0] : 0;
    char *targets[] = {"y*", "z"}, *inputs[] = {"x*"};
    struct data_config c = {.name = "fuzz",
                            .format = "table",
                            .task = keys & 1 ? "t" : "",
                            .time = keys & 2 ? "when" : "",
                            .missing = keys & 4 ? "mean" : "refuse",
                            .window = keys & 8 ? 3 : 1,
                            .label = keys & 16 ? "t" : "",
                            .inputs = {keys & 32 ? 1 : 0, inputs},
                            .targets = {keys & 64    ? 2
                                        : keys & 128 ? 1
                                                     : 0,
                                        targets}};
    struct data d;
    int code;

    c.path = (char *)(n > 0 ? scratch_put(&file, bytes + 1, n - 1) : scratch_put(&file, "", 0));
    code = data_open(&d, &c, "");
    if (code < 0) {
        EXPECT((code == ERR_DATA || code == ERR_CONFIG) && *err_text());
        return 0;
    }
    try_rows(&d, keys & 4);
    data_close(&d);
    return 0;
}
