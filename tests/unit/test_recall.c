/* test_recall.c - a data set that a checkpoint remembers: told, recalled, without its samples. */
#include "tests/lib/data_files.h"

#include "core/data/recall.h"

/* Two classes of two images: a dark middle of 51 on a background of 255. */
static void put_folder(void)
{
    static const char *const names[] = {"cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"};
    uint8_t dots[9] = {255, 255, 255, 255, 51, 255, 255, 255, 255};
    struct member members[4];

    for (int i = 0; i < 4; i++)
        members[i] = (struct member){names[i], png_grey(3, 3, dots)};
    put_made("set.zip", archive_make("zip", members, 4));
    for (int i = 0; i < 4; i++)
        free(members[i].bytes.at);
}

static void a_set_is_recalled(void **state)
{
    struct data_config c = {.name = "d", .format = "folder", .path = "set.zip", .resize = 6};
    struct survey survey;
    struct data d, again;
    char *text, name[16];
    const struct looks *l;

    (void)state;
    put_folder();
    expect_open(&d, &c);
    assert_int_equal(data_survey(&d, &survey), 0);
    text = recall_text(&(struct recalled){&d, &survey, true}, 1);
    data_close(&d);
    assert_int_equal(data_recall(&again, text, "d"), 0);
    assert_true(again.shape.h == 6 && again.shape.w == 6 && again.shape.c == 1);
    assert_true(again.n_classes == 2 && again.n_samples == 4 && again.named);
    data_class_name(&again, 1, name, sizeof name);
    assert_string_equal(name, "dog");
    l = &data_recalled(&again)->looks;
    assert_true(l->border > l->mean && l->mean > 0.8 && l->deviation > 0.05);
    assert_true(l->sizes.h[0] == 3 && l->sizes.w[1] == 3 && l->sizes.grey == 4);
    expect_error(data_read_flat(&again, 0, &(real){0}), ERR_DATA, "without its samples");
    data_close(&again);
    assert_int_equal(data_recall(&again, text, "other"), 1);
    free(text);
}

static void names_only_if_wanted(void **state)
{
    struct data_config c = {.name = "d", .format = "folder", .path = "set.zip"};
    struct survey survey;
    struct data d;
    char *text, name[16];

    (void)state;
    put_folder();
    expect_open(&d, &c);
    assert_int_equal(data_survey(&d, &survey), 0);
    text = recall_text(&(struct recalled){&d, &survey, false}, 1);
    data_close(&d);
    assert_null(strstr(text, "dog"));
    assert_int_equal(data_recall(&d, text, "d"), 0);
    assert_false(d.named);
    data_class_name(&d, 1, name, sizeof name);
    assert_string_equal(name, "1");
    data_close(&d);
    free(text);
}

static void damaged_texts_are_refused(void **state)
{
    static const char *const bad[] = {
        "{\"d\":{\"shape\":[1,1,1],\"classes\":2,\"samples\":1,\"targets\":0}}",
        "{\"d\":{\"shape\":[0,1,1],\"classes\":2,\"samples\":1,\"targets\":0,\"grid\":0}}",
        "{\"d\":{\"shape\":[1,1,1],\"classes\":-2,\"samples\":1,\"targets\":0,\"grid\":0}}",
        "{\"d\":{\"shape\":[1,1,1],\"classes\":2,\"samples\":1,\"targets\":0,\"grid\":0,"
        "\"names\":[\"a\"]}}",
        "{\"d\":{\"shape\":[1,1,1],\"classes\":1,\"samples\":1,\"targets\":0,\"grid\":0,"
        "\"names\":[7]}}",
        "{\"d\":7}",
    };
    struct data d;

    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_error(data_recall(&d, bad[i], "d"), ERR_DATA, "of data 'd' cannot be understood");
    expect_error(data_recall(&d, "[", "d"), ERR_DATA, "not a JSON object");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_set_is_recalled),
        cmocka_unit_test(names_only_if_wanted),
        cmocka_unit_test(damaged_texts_are_refused),
    };

    return cmocka_run_group_tests(tests, root_make, root_remove);
}
