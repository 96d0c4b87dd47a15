/* test_stage_init.c - a stage that begins with a file's parameters: the file that the run knows. */
#include "tests/lib/data_files.h"

#include "coordinator/run/stage_run.h"
#include "core/file/safetensors.h"
#include "core/plan/stage_init.h"
#include "launch/solo.h"

static float numbers[12 * 12 * 3];
static char path[320];

static void put_file(void)
{
    const struct tensor t[] = {{"head.weight", DTYPE_F32, 2, {3, 144}, 432, numbers},
                               {"head.bias", DTYPE_F32, 1, {3}, 3, numbers}};

    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        numbers[i] = (float)i;
    snprintf(path, sizeof path, "%s/init.safetensors", root);
    assert_int_equal(safetensors_write(path, t, 2, NULL, 0), 0);
}

static void open_solo(struct solo *s)
{
    struct options o = {.data_root = root};
    char text[1024];

    snprintf(text, sizeof text,
             "data a { format = \"glyphs\" size = 12 first = 3 }\n"
             "model { type = \"mlp\" widths = {} }\n"
             "stage s { method = \"pretrain\" data = \"a\" batch = 4 init = \"%s\" }\n",
             path);
    if (solo_open_text(s, &o, text, "text") < 0)
        fail_msg("%s", err_text());
}

static uint64_t digest_of(const struct stage *stage)
{
    struct stage_init in;
    uint64_t digest;

    assert_int_equal(stage_init_open(&in, stage), 0);
    digest = in.dict.digest;
    stage_init_close(&in);
    return digest;
}

static void test_begins_with_the_known_file(void **state)
{
    static struct solo solo;
    uint64_t digests[CONFIG_STAGE_MAX] = {0};
    struct stage_run run = {.setup = &solo.setup, .init_digest = digests};

    (void)state;
    put_file();
    open_solo(&solo);
    digests[0] = digest_of(solo.stage);
    assert_int_equal(stage_run_begin(&run, solo.stage), 0);
    for (size_t i = 0; i < 432; i++)
        assert_true(run.theta[i] == (real)i);
    digests[0]++;
    assert_int_equal(stage_run_begin(&run, solo.stage), ERR_DATA);
    assert_non_null(strstr(err_text(), "was modified after this run began"));
    stage_run_release(&run);
    solo_close(&solo);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_begins_with_the_known_file)};

    return cmocka_run_group_tests_name("stage_init", tests, root_make, root_remove);
}
