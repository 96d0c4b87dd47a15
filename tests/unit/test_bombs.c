/* test_bombs.c - small files that ask for much work: refused by name, within 64 MiB and a second of
 * the processor. How much each took is printed; bench/RESULTS.md has it. Each runs in a process of
 * its own. */
#include "tests/lib/bomb_attempt.h"
#include "tests/lib/bomb_files.h"
#include "tests/lib/jpeg_files.h"

#include "core/file/safetensors.h"
#include "proto/wire.h"

enum { ZEROS = 128 }; /* MiB that the bombs unpack to */
static int set_open(const void *subject)
{
    struct data d;
    int code = data_open(&d, subject, root);

    if (code == 0)
        data_close(&d);
    return code;
}

static void expect_set_refused(const struct data_config *c, const char *name, const char *part)
{
    expect_cheap(set_open, c, name, ERR_DATA, part);
}

static const struct data_config npz = {.name = "b", .format = "npz", .path = "b.npz"};
static const struct data_config zip = {.name = "b", .format = "folder", .path = "b.zip"};
static const struct data_config tar = {.name = "b", .format = "folder", .path = "b.tar.gz"};
static const struct data_config folder = {.name = "b", .format = "folder", .path = "b"};
static const struct data_config idx = {
    .name = "b", .format = "idx", .path = "b.gz", .labels = "labels"};

/* 128 MiB of zeros in 130 KB. */
static void zip_of_zeros(const char *file, const char *member, uint32_t stated)
{
    struct bytes head = npy_make("|u1", "131072, 32, 32", NULL, 0);
    struct bytes b = deflate_zeros(head.at, head.n, ZEROS, -15);
    struct zip_out z;

    zip_begin(&z, file);
    zip_add(&z, member, 8, b, stated);
    zip_end(&z, 1);
    free(head.at);
    free(b.at);
}

static void zips(void **state)
{
    (void)state;
    zip_of_zeros("b.npz", "images.npy", (uint32_t)ZEROS * MIB);
    expect_set_refused(&npz, "npz, 1:1000", "b.npz' unpacks to more than");
    zip_of_zeros("b.npz", "images.npy", 1000);
    expect_set_refused(&npz, "npz, 1:1000, states 1000 bytes", "b.npz' ");
    zip_of_zeros("b.npz", "images.npy", 32u * MIB);
    expect_set_refused(&npz, "npz, 1:1000, states 32 MiB", "b.npz' ");
    zip_of_zeros("b.zip", "a/1.png", (uint32_t)ZEROS * MIB);
    expect_set_refused(&zip, "zip of a PNG, 1:1000", "b.zip' unpacks to more than");
    zip_of_zeros("b.zip", "a/1.png", 4000);
    expect_set_refused(&zip, "zip of a PNG, 1:1000, states 4000 bytes", "b.zip' ");
}

static void zip_of_members(uint32_t stated)
{
    struct zip_out z;
    char name[32];

    zip_begin(&z, "b.zip");
    for (int i = 0; i < MILLION; i++) {
        snprintf(name, sizeof name, "%d", i);
        zip_add(&z, name, 0, (struct bytes){0, (uint8_t *)""}, 0);
    }
    zip_end(&z, stated);
}

static void zips_of_members(void **state)
{
    (void)state;
    zip_of_members(0xffff);
    expect_set_refused(&zip, "zip, 1,000,000 members", "b.zip' ");
    zip_of_members(1);
    expect_set_refused(&zip, "zip, 1,000,000 members, states 1", "b.zip' ");
}

/* n zeros as a PNG of rows, which a zip shrinks once more. */
static struct bytes png_of_zeros(int side)
{
    uint8_t *rows = calloc((size_t)side, 1);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    struct bytes b = {0};

    png_set_write_fn(png, &b, png_append, png_flushed);
    png_set_IHDR(png, info, (png_uint_32)side, (png_uint_32)side, 8, PNG_COLOR_TYPE_GRAY,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int i = 0; i < side; i++)
        png_write_row(png, rows);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    free(rows);
    return b;
}

static void zip_in_zip(void **state)
{
    struct bytes png = png_of_zeros(4096);
    struct zip_out z;
    char name[32];

    (void)state;
    zip_begin(&z, "b.zip");
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "a/%d.png", i);
        zip_add(&z, name, 0, png, (uint32_t)png.n);
    }
    zip_end(&z, 200);
    free(png.at);
    expect_set_refused(&zip, "zip of 200 PNG, 1:1000 each", "it unpacks to too much for");
}

static void gz_write(const char *name, struct bytes b)
{
    put_bytes(name, b);
    free(b.at);
}

/* A tar header for `size` bytes, zeros behind it, ZEROS MiB in all. */
static void tar_of_zeros(const char *member, size_t size)
{
    struct member m = {member, {0, (uint8_t *)""}};
    struct bytes head = archive_make("tar", &m, 1);
    unsigned sum = 0;

    snprintf((char *)head.at + 124, 12, "%011zo", size);
    memset(head.at + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += head.at[i];
    snprintf((char *)head.at + 148, 8, "%06o", sum);
    gz_write("b.tar.gz", deflate_zeros(head.at, 512, ZEROS, 31));
    free(head.at);
}

static void tars(void **state)
{
    (void)state;
    tar_of_zeros("a/1.txt", 0);
    expect_set_refused(&tar, "tar.gz, 1:1000 behind its end", "unpacks to more than");
    tar_of_zeros("a/1.png", (size_t)(ZEROS - 1) << 20);
    expect_set_refused(&tar, "tar.gz of a PNG, 1:1000", "b.tar.gz' unpacks to more than");
    tar_of_zeros("a/1.png", 30 << 20);
    expect_set_refused(&tar, "tar.gz of a PNG, 1:1000, states 30 MiB", "unpacks to more than");
    tar_of_zeros("a/1.txt", 30 << 20);
    expect_set_refused(&tar, "tar.gz of a text, 1:1000, states 30 MiB", "unpacks to more than");
}

static void gzips(void **state)
{
    struct bytes marks = idx_make(8, 1, (uint32_t[]){4}, labels, 4);
    struct bytes head = idx_make(8, 3, (uint32_t[]){131071, 32, 32}, "", 0);
    struct bytes b = deflate_zeros(head.at, head.n, ZEROS, 31);

    (void)state;
    put_bytes("labels", marks);
    put_bytes("b.gz", b);
    expect_set_refused(&idx, "idx.gz, 1:1000", "b.gz' unpacks to more than");
    memset(b.at + b.n - 4, 0, 4);
    put_bytes("b.gz", b);
    expect_set_refused(&idx, "idx.gz, 1:1000, states 0 bytes", "b.gz' unpacks to more than");
    free(marks.at);
    free(head.at);
    free(b.at);
}

static void pngs(void **state)
{
    static const uint32_t sides[][2] = {{0x7fffffff, 1}, {0x7fffffff, 0x7fffffff}, {65535, 65535}};
    static const char *const names[] = {"PNG, 2^31 x 1", "PNG, 2^31 x 2^31", "PNG, 65535 x 65535"};

    (void)state;
    for (int i = 0; i < 3; i++) {
        gz_write("b/a/1.png", png_claiming(sides[i][0], sides[i][1]));
        expect_set_refused(&folder, names[i], "b:a/1.png' is not a complete PNG image, at byte");
    }
}

static const struct jpeg_kind grey = {.in = JCS_GRAYSCALE, .stored = JCS_GRAYSCALE, .h = 1, .v = 1};

/* b, with n bytes of `more` over and over behind its first `at` bytes. */
static void jpeg_write(struct bytes b, size_t at, const char *more, size_t n_more, int times)
{
    FILE *f = bomb_open("b/a/1.jpg");

    fwrite(b.at, 1, at, f);
    for (int i = 0; i < times; i++)
        fwrite(more, 1, n_more, f);
    fwrite(b.at + at, 1, b.n - at, f);
    bomb_close(f);
}

static void jpegs(void **state)
{
    static const char *const sides[] = {"\x10\x00\x10\x00", "\xff\xdc\xff\xdc", "\xff\xff\0\1"};
    static const char *const names[] = {"JPEG, 4096 x 4096", "JPEG, 65500 x 65500",
                                        "JPEG, 65535 x 1"};
    struct jpeg_kind progressive = grey;
    struct bytes b = jpeg_make(grey, 16, 16);
    uint8_t *header = memmem(b.at, b.n, "\xff\xc0", 2);

    (void)state;
    unlink(in_root("b/a/1.png"));
    for (int i = 0; i < 3; i++) {
        memcpy(header + 5, sides[i], 4);
        put_bytes("b/a/1.jpg", b);
        expect_set_refused(&folder, names[i], "b:a/1.jpg' is not a complete JPEG image, at byte");
    }
    memcpy(header + 5, "\0\x10\0\x10", 4);
    jpeg_write(b, 2,
               "\xff\xe1\0\x8"
               "Exif\0",
               10, MILLION);
    expect_cheap(set_open, &folder, "JPEG, 1,000,000 segments (accepted)", 0, "accepted");
    free(b.at);
    progressive.progressive = true;
    b = jpeg_make(progressive, 1024, 1024);
    header = memmem(b.at, b.n, "\xff\xda", 2);
    jpeg_write(b, (size_t)(header - b.at), (char *)header, 11, MILLION);
    expect_set_refused(&folder, "JPEG, 1,000,000 scans", "b:a/1.jpg' is not a complete JPEG image");
    free(b.at);
    unlink(in_root("b/a/1.jpg"));
}

/* Each of 1000 texts would unpack to 1 MiB. */
static void png_of_texts(void **state)
{
    struct bytes png = png_grey(W, H, pixels), zeros = deflate_zeros("", 0, 1, 15);
    uint8_t *text = malloc(zeros.n + 3);
    FILE *f;

    (void)state;
    gz_write("b/a/1.png", bytes_of(1));
    f = bomb_open("b/a/1.png");
    memcpy(text, "a\0\0", 3);
    memcpy(text + 3, zeros.at, zeros.n);
    fwrite(png.at, 1, 33, f);
    for (int i = 0; i < 1000; i++)
        png_chunk(f, "zTXt", text, zeros.n + 3);
    fwrite(png.at + 33, 1, png.n - 33, f);
    bomb_close(f);
    free(text);
    free(zeros.at);
    free(png.at);
    expect_cheap(set_open, &folder, "PNG, 1000 texts of 1:1000 (accepted)", 0, "accepted");
}

static void npys(void **state)
{
    FILE *f;

    (void)state;
    put_set();
    f = bomb_open("images.npy");
    fwrite("\x93NUMPY\x02\0\0\xe1\xf5\x05{", 1, 13, f); /* 100,000,000 */
    put_repeated(f, " ", 100 * MILLION);
    bomb_close(f);
    expect_set_refused(&npy, "npy, a header of 100 MB", "states a header of 100000000 bytes");
    gz_write("images.npy", npy_make("|u1", "1099511627776, 1, 1", pixels, 9));
    expect_set_refused(&npy, "npy, 2^40 images", "images.npy' ends at byte");
}

static int safetensors_try(const void *name)
{
    struct safetensors s;
    int code = safetensors_open(&s, in_root(name));

    if (code == 0)
        safetensors_close(&s);
    return code;
}

/* A header of n bytes in all: head, then middle over and over, then tail. */
static void expect_header_refused(const char *head, const char *middle, const char *tail, size_t n,
                                  const char *name, const char *part)
{
    FILE *f = bomb_open("b.safetensors");

    put_little(f, n, 8);
    fputs(head, f);
    put_repeated(f, middle, n - strlen(head) - strlen(tail));
    fputs(tail, f);
    bomb_close(f);
    expect_cheap(safetensors_try, "b.safetensors", name, ERR_DATA, part);
}

static void safetensors_headers(void **state)
{
    static const size_t all = 100 * (size_t)MILLION, most = SAFETENSORS_HEADER_MAX;

    (void)state;
    put("b.safetensors", "\0\xe1\xf5\5\0\0\0\0{}", 10);
    expect_cheap(safetensors_try, "b.safetensors", "safetensors, states a header of 100 MB",
                 ERR_DATA, "it has 10 bytes, its header would have 100000000");
    expect_header_refused("{", " ", "}", all, "safetensors, a header of 100 MB of spaces",
                          "has a header of 100000000 bytes, more than");
    expect_header_refused("{", "\"a\":0,", "}", all, "safetensors, a header of 100 MB of keys",
                          "has a header of 100000000 bytes, more than");
    expect_header_refused("{\"a\":[0", ",0", "]}", most, "safetensors, numbers up to the limit",
                          "b.safetensors'");
    expect_header_refused("{\"a\":[{}", ",{}", "]}", most, "safetensors, objects up to the limit",
                          "b.safetensors'");
    expect_header_refused("{\"a\":\"", "a", "\"}", most, "safetensors, one text up to the limit",
                          "b.safetensors'");
    expect_header_refused("{\"a\":", "[", "}", most, "safetensors, brackets up to the limit",
                          "b.safetensors'");
    expect_header_refused("{\"a\":0", " ", "", most, "safetensors, spaces up to the limit",
                          "b.safetensors'");
}

static void safetensors_tensors(void **state)
{
    static const char form[] = "%c\"%06d\":{\"dtype\":\"U8\",\"shape\":[],\"data_offsets\":[0,1]}";
    static const int counts[] = {50000, MILLION};
    static const char *const names[] = {"safetensors, 50,000 tensors",
                                        "safetensors, 1,000,000 tensors"};

    (void)state;
    for (int k = 0; k < 2; k++) {
        FILE *f = bomb_open("b.safetensors");
        size_t length = (size_t)snprintf(NULL, 0, form, '{', 0);

        put_little(f, length * (size_t)counts[k] + 1, 8);
        for (int i = 0; i < counts[k]; i++)
            fprintf(f, form, i ? ',' : '{', i);
        fputs("}d", f);
        bomb_close(f);
        expect_cheap(safetensors_try, "b.safetensors", names[k], ERR_DATA, "b.safetensors'");
    }
}

static int config_try(const void *name)
{
    struct config c;
    int code = config_read(&c, in_root(name), NULL, 0, NULL);

    if (code == 0)
        config_release(&c);
    return code;
}

/* head, then middle over and over: n bytes in all. */
static void expect_config_refused(const char *head, const char *middle, size_t n, const char *name,
                                  const char *part)
{
    FILE *f = bomb_open("b.conf");

    fputs(head, f);
    put_repeated(f, middle, n - strlen(head));
    bomb_close(f);
    expect_cheap(config_try, "b.conf", name, ERR_CONFIG, part);
}

static void configurations(void **state)
{
    FILE *f = bomb_open("b.conf");

    (void)state;
    fputs("stage a {\n", f);
    for (int i = 0; i < MILLION; i++)
        fprintf(f, "key%d = %d\n", i, i);
    fputs("}\n", f);
    bomb_close(f);
    expect_cheap(config_try, "b.conf", "configuration, 1,000,000 keys", ERR_CONFIG,
                 "b.conf:1: longer than");
    expect_config_refused("", "run { }\n", 8 * MILLION, "configuration, 1,000,000 sections",
                          "b.conf:1: longer than");
    expect_config_refused("", "run { }\n", MIB, "configuration, 1 MiB of sections", "b.conf:2: ");
    expect_config_refused("", "{", MIB, "configuration, 1 MiB of braces", "b.conf:1: ");
    expect_config_refused("", "run {", MIB, "configuration, 1 MiB of nested sections", "b.conf:1");
    expect_config_refused("", "stage a {way=5}\n", MIB, "configuration, 1 MiB of stages",
                          "b.conf:2: ");
    expect_config_refused("run{", "seed=1\n", MIB, "configuration, 1 MiB of one key", "b.conf:");
    expect_config_refused("data a {classes = {a", ",a", MIB, "configuration, a list of 1 MiB",
                          "b.conf:1: ");
    expect_config_refused("data a {", "classes += {a}\n", MIB, "configuration, 1 MiB of lists",
                          "b.conf:");
    expect_config_refused("run { name = \"", "a", MIB, "configuration, a string of 1 MiB",
                          "b.conf:1: ");
    expect_config_refused("", "/*", MIB, "configuration, 1 MiB of comments", "b.conf:1: ");
    f = bomb_open("b.conf");
    fputs("data a { classes = {a", f);
    put_repeated(f, ",a", MIB - 30);
    fputs("} }", f);
    bomb_close(f);
    expect_cheap(config_try, "b.conf", "configuration, a whole list of 1 MiB", ERR_CONFIG,
                 "b.conf:1: ");
    f = bomb_open("b.conf");
    fputs("run { name = \"", f);
    put_repeated(f, "a", MIB - 30);
    fputs("\" }", f);
    bomb_close(f);
    expect_cheap(config_try, "b.conf", "configuration, a whole string of 1 MiB", ERR_CONFIG,
                 "b.conf:1: ");
}

/* n classes of one image each, in names, and a list of n_list of them. */
static void put_classes(int n, int n_list)
{
    FILE *f;

    put_npy("images.npy", "|u1", "6, 3, 4", pixels, sizeof pixels);
    f = bomb_open("names");
    for (int i = 0; i < n; i++)
        fprintf(f, "a/%05x\n", i);
    bomb_close(f);
    f = bomb_open("list");
    for (int i = 0; i < n_list; i++)
        fprintf(f, "%05x\n", i);
    bomb_close(f);
}

static void class_names(void **state)
{
    struct data_config c = npy;
    char *list = "list";
    FILE *f;

    (void)state;
    put_set();
    c.names = "names";
    f = bomb_open("names");
    put_repeated(f, "ab\n", 3 * MILLION);
    bomb_close(f);
    expect_set_refused(&c, "1,000,000 class names", "names' has 1000000 lines");
    put_classes(MILLION, MILLION);
    c.classes = (struct strings){1, &list};
    expect_set_refused(&c, "1,000,000 class names, all listed", "names' has ");
    put_classes(1 << 18, 1 << 18);
    expect_set_refused(&c, "262,144 class names, all listed", "list' line 4: ");
}

/* As many classes as images, each listed: accepted, and no work of the square of their number. */
static void many_classes(void **state)
{
    enum { MANY = 65536 };
    struct data_config c = npy;
    char *list = "list";
    uint8_t *marks = calloc(MANY, 4);

    (void)state;
    put_classes(MANY, MANY);
    for (int i = 0; i < MANY; i++)
        memcpy(marks + 4 * i, &i, 4);
    put_npy("images.npy", "|u1", "65536, 1, 1", marks, MANY);
    put_npy("labels.npy", "<i4", "65536,", marks, 4 * MANY);
    free(marks);
    c.names = "names";
    c.classes = (struct strings){1, &list};
    expect_cheap(set_open, &c, "65,536 classes, all listed (accepted)", 0, "");
}

static int task_taken(void *context, const struct task *t)
{
    (void)context;
    (void)t;
    return 0;
}

static int task_try(const void *subject)
{
    const struct bytes *b = subject;

    return wire_unpack_task(b->at, b->n, task_taken, NULL);
}

static int given_try(const void *subject)
{
    const struct bytes *b = subject;
    struct given g;

    return wire_unpack_given(b->at, b->n, &g);
}

static struct bytes message_of(const char *head, size_t n_head, const char *pair, size_t n)
{
    struct bytes b = bytes_of(n_head + n);

    memcpy(b.at, head, n_head);
    for (size_t i = 0; i < n; i++)
        b.at[n_head + i] = (uint8_t)pair[i % 2];
    return b;
}

static void messages(void **state)
{
    static const char huge[] = "\x30\xff\xff\xff\xff\x0f\x38\xff\xff\xff\xff\x0f\x40\x01";
    static const char packed[] = "\x4a\x80\x80\x80\x20"; /* classes: 64 MiB of them */
    struct bytes b = message_of(huge, sizeof huge - 1, "", 0);

    (void)state;
    expect_cheap(task_try, &b, "task, way and shot of 2^32", ERR_DATA, "way 4294967295");
    free(b.at);
    b = message_of(packed, 5, "\1\1", 64 * (size_t)MIB);
    expect_cheap(task_try, &b, "task, 64 MiB of class ids", ERR_DATA, "task");
    free(b.at);
    b = message_of("", 0, "\x48\1", 16 * (size_t)MIB);
    expect_cheap(task_try, &b, "task, 16 MiB of class ids one by one", ERR_DATA, "task");
    free(b.at);
    b = message_of("", 0, "\x08\1", 2 * (size_t)MILLION);
    expect_cheap(given_try, &b, "tasks, 1,000,000 numbers one by one", ERR_DATA, "tasks");
    free(b.at);
}

#define TEST(f) cmocka_unit_test(f)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(zips),
        TEST(zips_of_members),
        TEST(zip_in_zip),
        TEST(tars),
        TEST(gzips),
        TEST(pngs),
        TEST(jpegs),
        TEST(png_of_texts),
        TEST(npys),
        TEST(class_names),
        TEST(many_classes),
        TEST(safetensors_headers),
        TEST(safetensors_tensors),
        TEST(configurations),
        TEST(messages),
    };

    return cmocka_run_group_tests(tests, set_make, root_remove);
}
