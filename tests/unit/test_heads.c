/* test_heads.c - classes of sections that share a head are the same by name, or refused by name. */
#include "tests/lib/data_files.h"

#include "core/plan/setup.h"
#include "worker/method/table.h"

/* A zip of class folders, the words of `classes`; each class has 3 images of its first letter's
 * grey. */
static void put_zip(const char *path, const char *classes)
{
    struct member members[32];
    char names[32][64], words[128], *rest = words;
    int n = 0;

    strcpy(words, classes);
    for (char *word; (word = strsep(&rest, " "));)
        for (int k = 0; k < 3; k++, n++) {
            uint8_t dots[4] = {(uint8_t)(word[0] | 0x20), (uint8_t)k, 0, 255};

            snprintf(names[n], sizeof names[n], "%s/%d.png", word, k);
            members[n] = (struct member){names[n], png_grey(2, 2, dots)};
        }
    put_made(path, archive_make("zip", members, n));
    while (n > 0)
        free(members[--n].bytes.at);
}

static int open_text(struct setup *s, struct config *c, const char *stages)
{
    static const char data[] =
        "model { type = 'mlp' widths = {4} }\n"
        "data src { format = 'folder' path = 'src.zip' }\n"
        "data tgt { format = 'folder' path = 'tgt.zip' classes = {'tgt.txt'} }\n"
        "data new { format = 'folder' path = 'new.zip' }\n"
        "data one { format = 'folder' path = 'one.zip' }\n"
        "data num { format = 'npy' path = 'x.npy' labels = 'l.npy' }\n"
        "data dig { format = 'folder' path = 'dig.zip' classes = {'dig.txt'} }\n";
    char text[4096];
    int code;

    snprintf(text, sizeof text, "%s%s", data, stages);
    code = config_parse(c, text, "test", NULL, 0, stage_owner);
    if (code < 0)
        fail_msg("%s", err_text());
    code = setup_open(s, c, root, method_traits_of);
    if (code < 0)
        config_release(c);
    return code;
}

static void put_all(const char *order)
{
    static const char shape[] = "3, 2, 2";
    const char *at = order;

    put_zip("src.zip", "ape bee cat");
    put_zip("tgt.zip", "ape bee cat");
    put_zip("new.zip", "ape bee dog");
    put_zip("one.zip", "images");
    put_zip("dig.zip", "0 1 2");
    put_text("dig.txt", "2\n0\n1\n");
    put_made("x.npy", npy_make("|u1", shape, "\0\0\0\x30\0\0\0\x31\0\0\0\x32", 12));
    put_made("l.npy", npy_make("|u1", "3,", "\0\1\2", 3));
    put_text("tgt.txt", at);
}

/* Class i of the data section has this name, and its images are its own. */
static void expect_class(const struct setup *s, const char *data, uint32_t i, const char *expected)
{
    const struct data *d = &s->data[config_find_data(s->config, data) - s->config->data];
    char name[64];
    real x[4];
    uint32_t label, n = 0;

    data_class_name(d, i, name, sizeof name);
    assert_string_equal(name, expected);
    assert_int_equal(data_read(d, i, 0, 0, x, NULL), 0);
    assert_int_equal((int)(x[0] * 255 + (real)0.5), expected[0] | 0x20);
    for (uint32_t k = 0; k < d->n_samples; k++) {
        assert_int_equal(data_label_flat(d, k, &label), 0);
        assert_int_equal(data_read_flat(d, k, x), 0);
        if (label == i)
            assert_int_equal((int)(x[0] * 255 + (real)0.5), expected[0] | 0x20), n++;
    }
    assert_int_equal(n, 3);
}

#define PRE "stage pre { method = 'pretrain' data = 'src' batch = 4 "

static void another_order_is_mapped(void **state)
{
    static const char *const stages[] = {
        PRE "evaluate = {'tgt'} }",
        PRE "} stage dan { method = 'dan' data = 'src' target = {'tgt'} batch = 4 }",
        PRE "} stage adda { method = 'adda' data = 'src' target = {'tgt'} batch = 4 }",
        PRE "} stage go { method = 'finetune' data = 'tgt' batch = 4 }",
        PRE "} stage kd { method = 'kd' data = 'tgt' batch = 4 }",
        PRE "} stage lwf { method = 'lwf' data = 'num' old = {'tgt'} evaluate = {'num', 'tgt'} "
            "batch = 4 }",
    };

    (void)state;
    put_all("cat\nape\nbee\n");
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        bool anew = strstr(stages[i], "finetune") != NULL;
        struct config c;
        struct setup s;

        if (open_text(&s, &c, stages[i]) < 0)
            fail_msg("%s: %s", stages[i], err_text());
        expect_class(&s, "tgt", 0, anew ? "cat" : "ape"); /* a head of its own keeps its order */
        expect_class(&s, "tgt", 1, anew ? "ape" : "bee");
        expect_class(&s, "tgt", 2, anew ? "bee" : "cat");
        expect_class(&s, "src", 2, "cat");
        assert_int_equal(s.matched[1], anew ? MATCHED_NOT : MATCHED_ORDER);
        setup_close(&s);
        config_release(&c);
    }
}

static void other_names_are_refused(void **state)
{
    static const char *const stages[] = {
        PRE "evaluate = {'src', 'new'} }",
        PRE "} evaluate { data = {'new'} }",
        PRE "} stage dan { method = 'dan' data = 'src' target = {'new'} batch = 4 }",
        PRE "} stage coral { method = 'coral' data = 'src' target = {'new'} evaluate = {'src'} "
            "batch = 4 }",
        PRE "} stage adda { method = 'adda' data = 'src' target = {'new'} batch = 4 }",
        PRE
        "} stage on { method = 'dan' data = 'new' target = {'one'} evaluate = {'new'} batch = 4 }",
        PRE "} stage kd { method = 'kd' data = 'new' batch = 4 }",
        PRE
        "} stage lwf { method = 'lwf' data = 'num' old = {'new'} evaluate = {'new'} batch = 4 }",
    };
    struct config c;
    struct setup s;

    (void)state;
    put_all("ape\nbee\ncat\n");
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        int code = open_text(&s, &c, stages[i]);

        if (code != ERR_DATA)
            fail_msg("%s: %d", stages[i], code);
        expect_error(code, ERR_DATA, "class 'dog' of data 'new' does not exist in data 'src'");
    }
    put_zip("new.zip", "ape Bee cat");
    expect_error(open_text(&s, &c, stages[0]), ERR_DATA,
                 "class 'Bee' of data 'new' and class 'bee' of data 'src' differ only in case");
    put_zip("new.zip", "ape cat");
    expect_error(open_text(&s, &c, stages[0]), ERR_CONFIG,
                 "data 'new' has 2 classes, stage 'pre' distinguishes 3");
    expect_error(open_text(&s, &c, stages[6]), ERR_CONFIG,
                 "stage 'kd' has 2 outputs, its teacher 'pre' 3");
}

static void expect_matched(const char *stages, int data, enum matched how)
{
    struct config c;
    struct setup s;

    if (open_text(&s, &c, stages) < 0)
        fail_msg("%s: %s", stages, err_text());
    assert_int_equal(s.matched[data], how);
    setup_close(&s);
    config_release(&c);
}

static void what_has_no_names_to_compare(void **state)
{
    (void)state;
    put_all("ape\nbee\ncat\n");
    expect_matched(PRE "evaluate = {'tgt'} }", 1, MATCHED_NAMES);
    expect_matched(PRE "evaluate = {'num'} }", 4, MATCHED_NUMBERS);
    expect_matched("stage pre { method = 'pretrain' data = 'num' batch = 4 evaluate = {'dig'} }", 5,
                   MATCHED_ORDER); /* folders called 2, 0, 1 */
    expect_matched(PRE "} stage dan { method = 'dan' data = 'src' target = {'one'} batch = 4 "
                       "evaluate = {'src'} }",
                   3, MATCHED_NOT); /* a target without classes */
    expect_matched("stage meta { method = 'maml' data = 'src' way = 2 shot = 1 query = 2 "
                   "evaluate = {'new'} }",
                   2, MATCHED_NOT); /* new classes at test are what it is for */
    put_zip("new.zip", "ape cat");
    expect_matched(PRE "} stage dan { method = 'dan' data = 'src' target = {'new'} batch = 4 "
                       "evaluate = {'src'} }",
                   2, MATCHED_NOT); /* a part of the classes, not measured */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_order_is_mapped),
        cmocka_unit_test(other_names_are_refused),
        cmocka_unit_test(what_has_no_names_to_compare),
    };

    return cmocka_run_group_tests(tests, root_make, root_remove);
}
