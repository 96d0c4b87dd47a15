/* test_survey.c - what a set holds in a few numbers: equal for equal sets, and different by name;
 * files that change while they are mapped; what a worker says of its program. */
#include "tests/lib/data_files.h"

#include <fcntl.h>

#include "coordinator/crew/crew_internal.h"
#include "core/base/machine.h"
#include "core/data/mapped.h"
#include "core/data/survey.h"
#include "core/math/blas.h"
#include "core/plan/setup.h"

enum { IMAGES = 4, SIDE = 64 }; /* 4 images of a page each, after a header */

static struct data_config array = {
    .name = "d", .format = "npy", .path = "x.npy", .labels = "l.npy", .names = "n.txt"};

static void put_array(int flipped, const char *classes, const char *names)
{
    uint8_t square[IMAGES * SIDE * SIDE];
    struct bytes x, l;

    for (int i = 0; i < IMAGES * SIDE * SIDE; i++)
        square[i] = (uint8_t)(i % 251);
    if (flipped >= 0)
        square[flipped] ^= 1;
    x = npy_make("|u1", "4, 64, 64", square, sizeof square);
    l = npy_make("|u1", "4,", classes, IMAGES);
    put_made("x.npy", x);
    put_made("l.npy", l);
    put_text("n.txt", names);
}

static struct survey survey_of(const struct data_config *c)
{
    struct survey s;
    struct data d;

    expect_open(&d, c);
    assert_int_equal(data_survey(&d, &s), 0);
    data_close(&d);
    return s;
}

static void expect_difference(const struct survey *a, const char *what)
{
    struct survey b = survey_of(&array);
    const char *found = survey_difference(a, &b);

    if (!what) {
        assert_null(found);
        assert_true(survey_digest(a) == survey_digest(&b));
        return;
    }
    assert_non_null(found);
    assert_string_equal(found, what);
    assert_true(survey_digest(a) != survey_digest(&b));
}

static void differences_are_named(void **state)
{
    struct survey a;

    (void)state;
    put_array(-1, "\0\1\0\1", "cat\ndog\n");
    a = survey_of(&array);
    assert_true(a.low == 0 && a.high == (float)250 / 255);
    expect_difference(&a, NULL);
    put_array(IMAGES * SIDE * SIDE - 1, "\0\1\0\1", "cat\ndog\n");
    expect_difference(&a, "the pixels differ");
    put_array(-1, "\0\1\1\0", "cat\ndog\n");
    expect_difference(&a, "the labels or their order differ");
    put_array(-1, "\0\1\0\1", "dog\ncat\n");
    expect_difference(&a, "the class names or their order differ");
    array.rotate = 10;
    put_array(-1, "\0\1\0\1", "cat\ndog\n");
    expect_difference(&a, "the pixels differ");
    array.rotate = 0;
    array.subset = IMAGES - 1;
    expect_difference(&a, "the number of samples differs");
    array.subset = 0;
    put_array(-1, "\0\1\0\2", "cat\ndog\nowl\n");
    expect_difference(&a, "the number of classes differs");
    array.resize = 32;
    expect_difference(&a, "the samples' shape differs");
    array.resize = 0;
}

/* Files come in any order from a folder; the set is the same. */
static void order_of_a_folder(void **state)
{
    static const char *const names[] = {"a/0.png", "a/1.png", "b/0.png"};
    struct data_config c = {.name = "d", .format = "folder", .path = "one.zip"};
    struct member members[3], turned[3];
    struct survey one, two;

    (void)state;
    for (int i = 0; i < 3; i++) {
        uint8_t dots[4] = {(uint8_t)i, 7, 8, 9};

        turned[2 - i] = members[i] = (struct member){names[i], png_grey(2, 2, dots)};
    }
    put_made("one.zip", archive_make("zip", members, 3));
    put_made("two.zip", archive_make("zip", turned, 3));
    for (int i = 0; i < 3; i++)
        free(members[i].bytes.at);
    one = survey_of(&c);
    c.path = "two.zip";
    two = survey_of(&c);
    assert_null(survey_difference(&one, &two));
}

static void generators_by_their_parameters(void **state)
{
    struct data_config c = {.name = "g", .format = "glyphs", .size = 12};
    struct survey a = survey_of(&c), b;

    (void)state;
    b = survey_of(&c);
    assert_null(survey_difference(&a, &b));
    c.seed = 1;
    b = survey_of(&c);
    assert_string_equal(survey_difference(&a, &b), "the pixels differ");
    c.seed = 0, c.style = "chalk";
    b = survey_of(&c);
    assert_string_equal(survey_difference(&a, &b), "the pixels differ");
}

/* Beyond SURVEY_WHOLE bytes a sample counts, with the file's time of change. The file is sparse. */
static void large_file_by_a_sample(void **state)
{
    static const char shape[] = "70000, 64, 64";
    struct bytes header = npy_make("|u1", shape, NULL, 0),
                 tags = npy_make("|u1", "70000,", NULL, 0);
    struct data_config c = {.name = "d", .format = "npy", .path = "big.npy", .labels = "big_l.npy"};
    struct survey a, b;
    int fd;

    (void)state;
    put_made("big.npy", header);
    put_made("big_l.npy", tags);
    assert_int_equal(truncate(in_root("big.npy"), (off_t)header.n + 70000LL * 4096), 0);
    assert_int_equal(truncate(in_root("big_l.npy"), (off_t)tags.n + 70000), 0);
    a = survey_of(&c);
    assert_true(a.sampled && a.time > 0);
    fd = open(in_root("big.npy"), O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, (off_t)header.n + 70000LL * 4096 - 1),
                     1); /* the last image */
    assert_int_equal(futimens(fd, (struct timespec[]){{.tv_sec = a.time}, {.tv_sec = a.time}}), 0);
    b = survey_of(&c);
    assert_string_equal(survey_difference(&a, &b), "the pixels differ");
    assert_int_equal(pwrite(fd, "\0", 1, (off_t)header.n + 70000LL * 4096 - 1), 1);
    assert_int_equal(futimens(fd, (struct timespec[]){{.tv_sec = 9}, {.tv_sec = 9}}), 0);
    b = survey_of(&c);
    assert_non_null(strstr(survey_difference(&a, &b), "the time of change differs"));
    close(fd);
}

static void shrunk_file_is_no_signal(void **state)
{
    struct survey s;
    struct data d;
    real x[SIDE * SIDE];

    (void)state;
    put_array(-1, "\0\1\0\1", "cat\ndog\n");
    expect_open(&d, &array);
    assert_int_equal(data_read_flat(&d, 3, x), 0);
    assert_int_equal(truncate(in_root("x.npy"), 100), 0);
    expect_error(data_read_flat(&d, 3, x), ERR_DATA, "x.npy' has shrunk");
    expect_error(data_read(&d, 0, 0, 0, x, NULL), ERR_DATA, "x.npy' has shrunk");
    expect_error(data_survey(&d, &s), ERR_DATA, "x.npy' has shrunk");
    data_close(&d);
}

static void watch(const struct setup *s, const struct survey *known, int code, const char *part)
{
    if (code)
        expect_error(setup_check_files(s, known, 1), code, part);
    else
        assert_int_equal(setup_check_files(s, known, 1), 0);
}

static void setup_one(struct setup *s, struct survey known[1])
{
    int n;

    put_array(-1, "\0\1\0\1", "cat\ndog\n");
    *s = (struct setup){.n_data = 1};
    expect_open(&s->data[0], &array);
    assert_int_equal(setup_survey(s, known, &n), 0);
    assert_int_equal(n, 1);
    watch(s, known, 0, NULL);
}

static void touch_at(const char *name, time_t when)
{
    struct timespec at[] = {{.tv_sec = when}, {.tv_sec = when}};

    assert_int_equal(utimensat(AT_FDCWD, in_root(name), at, 0), 0);
}

static void changes_are_noticed(void **state)
{
    struct survey known[CONFIG_DATA_MAX];
    struct setup s;

    (void)state;
    setup_one(&s, known);
    touch_at("x.npy", 5); /* touched, and the same */
    watch(&s, known, 0, NULL);
    put_array(77, "\0\1\0\1", "cat\ndog\n"); /* written to in place */
    touch_at("x.npy", 6);
    watch(&s, known, ERR_DATA, "data 'd': '");
    watch(&s, known, ERR_DATA, "x.npy' was modified after");
    data_close(&s.data[0]);
    setup_one(&s, known);
    assert_int_equal(rename(in_root("x.npy"), in_root("y.npy")),
                     0); /* gone: what is mapped stays */
    watch(&s, known, 0, NULL);
    put_array(-1, "\0\1\0\1", "cat\ndog\n");
    watch(&s, known, ERR_DATA, "x.npy' is not the file");
    data_close(&s.data[0]);
    setup_one(&s, known);
    assert_int_equal(truncate(in_root("x.npy"), 20000), 0);
    watch(&s, known, ERR_DATA, "now it has 20000");
    data_close(&s.data[0]);
}

/* ---- hello ---- */

static const struct comm_ops far_away = {.name = "mpi"};

static void greet(const struct hello *h, int code, const char *part)
{
    struct sections none = {0};
    struct setup setup = {0};
    struct comm comm = {.ops = &far_away, .size = 2};
    struct crew_worker workers[2] = {0};
    uint32_t hosts[2] = {0};
    struct crew c = {
        .comm = &comm, .setup = &setup, .workers = workers, .version = "1", .hosts = hosts};
    struct buffer out = {0};
    struct message m = {.from = 1};

    assert_int_equal(wire_pack_hello(h, &none, &out), 0);
    m.body = out.bytes;
    m.h.size = out.n;
    if (code)
        expect_error(crew_hello(&c, &m), code, part);
    else
        assert_int_equal(crew_hello(&c, &m), 0);
    buffer_release(&out);
}

static void other_programs_are_refused(void **state)
{
    struct hello h = {.version = "1", .host = "n7", .precision = REAL_NAME}, other;

    (void)state;
    snprintf(h.build, sizeof h.build, "%s", machine_build());
    snprintf(h.blas, sizeof h.blas, "%s", blas_kernel());
    greet(&h, 0, NULL);
    other = h, strcpy(other.version, "2");
    greet(&other, ERR_CONFIG, "rank 1 on host 'n7' runs metaloop 2, rank 0 runs 1");
    other = h, strcpy(other.precision, "float16");
    greet(&other, ERR_CONFIG, "computes in float16");
    other = h, strcpy(other.build, "-march=sandybridge");
    greet(&other, ERR_CONFIG, "compiled with '-march=sandybridge'");
    other = h, strcpy(other.blas, "Other");
    greet(&other, ERR_CONFIG, "OpenBLAS kernel 'Other'");
    assert_non_null(strstr(machine_build(), "-march="));
}

/* A sixteenth of the scale, 0.0625, is enough; bytes of 0 and 1 alone are a mask that was not
 * scaled. */
static void small_ranges_are_told(void **state)
{
    static const struct {
        char kind;
        float low, high;
        const char *told; /* NULL: nothing */
    } cases[] = {
        {'f', 0, 0.0625f, NULL},
        {'f', 0, 0.0624f, "its pixels lie within 0 and 0.0624"},
        {'f', 0.5f, 0.57f, NULL},
        {'f', 0.5f, 0.55f, "stretch it to 0 to 1"},
        {'f', 1, 0, "no pixel is a finite number"},
        {'u', 0, 1 / 255.0f, "within 0 and 1, and 255 is white"},
        {'u', 0, 1 / 255.0f, "save 255 * x"},
        {'u', 0, 2 / 255.0f, "stretch it to 0 to 255"},
        {'u', 0, 16 / 255.0f, NULL},
        {0, 0, 0, NULL}, /* made by the program */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct survey s = {.kind = cases[i].kind, .low = cases[i].low, .high = cases[i].high};
        char text[512] = "";

        assert_int_equal(survey_warning(&s, text, sizeof text), cases[i].told != NULL);
        if (cases[i].told && !strstr(text, cases[i].told))
            fail_msg("'%s', not '%s'", text, cases[i].told);
    }
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(differences_are_named),          TEST(order_of_a_folder),
        TEST(generators_by_their_parameters), TEST(large_file_by_a_sample),
        TEST(shrunk_file_is_no_signal),       TEST(changes_are_noticed),
        TEST(other_programs_are_refused),     TEST(small_ranges_are_told),
    };

    return cmocka_run_group_tests(tests, root_make, root_remove);
}
