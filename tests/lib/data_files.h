/* data_files.h - data files made at run time, for the tests of core/data. */
#ifndef TESTS_LIB_DATA_FILES_H
#define TESTS_LIB_DATA_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <archive.h>
#include <archive_entry.h>
#include <cmocka.h>
#include <ftw.h>
#include <png.h>
#include <zlib.h>

#include "core/base/err.h"
#include "core/config/config.h"
#include "core/data/data.h"

struct bytes {
    size_t n;
    uint8_t *at; /* owned */
};

static char root[64]; /* of this program's files */

static inline int root_make(void **state)
{
    (void)state;
    strcpy(root, "/tmp/metaloop-data-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static inline int file_remove(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static inline int root_remove(void **state)
{
    (void)state;
    return nftw(root, file_remove, 16, FTW_DEPTH | FTW_PHYS);
}

static inline const char *in_root(const char *name)
{
    static char path[4][512];
    static int next;

    next = (next + 1) % 4;
    snprintf(path[next], sizeof path[next], "%s/%s", root, name);
    return path[next];
}

/* Writes a file, making the folders it lies in. */
static inline void put(const char *name, const void *bytes, size_t n)
{
    char path[512];
    FILE *f;

    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *at = strchr(path + strlen(root) + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        mkdir(path, 0755);
        *at = '/';
    }
    f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static inline void put_text(const char *name, const char *text)
{
    put(name, text, strlen(text));
}

static inline void put_bytes(const char *name, struct bytes b)
{
    put(name, b.at, b.n);
}

/* What was made for this alone. */
static inline void put_made(const char *name, struct bytes b)
{
    put_bytes(name, b);
    free(b.at);
}

static inline struct bytes bytes_of(size_t n)
{
    struct bytes b = {n, calloc(n + 1, 1)};

    assert_non_null(b.at);
    return b;
}

static inline struct bytes npy_make(const char *type, const char *shape, const void *data, size_t n)
{
    char text[256];
    int length =
        snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }\n",
                 type, shape);
    struct bytes b = bytes_of(10 + (size_t)length + n);

    memcpy(b.at, "\x93NUMPY\x01", 8);
    b.at[8] = (uint8_t)length;
    memcpy(b.at + 10, text, (size_t)length);
    if (n > 0)
        memcpy(b.at + 10 + length, data, n);
    return b;
}

static inline struct bytes idx_make(uint8_t type, int n_dims, const uint32_t *dims,
                                    const void *data, size_t n)
{
    struct bytes b = bytes_of(4 + 4 * (size_t)n_dims + n);

    b.at[2] = type;
    b.at[3] = (uint8_t)n_dims;
    for (int i = 0; i < 4 * n_dims; i++)
        b.at[4 + i] = (uint8_t)(dims[i / 4] >> (24 - 8 * (i % 4)));
    memcpy(b.at + 4 + 4 * n_dims, data, n);
    return b;
}

static inline struct bytes gzip_make(struct bytes from)
{
    struct bytes b = bytes_of(from.n + from.n / 100 + 1000);
    z_stream z = {0};

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    z.next_in = from.at;
    z.avail_in = (uInt)from.n;
    z.next_out = b.at;
    z.avail_out = (uInt)b.n;
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    b.n = z.total_out;
    deflateEnd(&z);
    return b;
}

struct member {
    const char *name;
    struct bytes bytes;
};

/* kind: "zip", "tar" or "tar.gz". */
static inline struct bytes archive_make(const char *kind, const struct member *members, int n)
{
    struct archive *a = archive_write_new();
    size_t room = 1 << 20, used = 0;
    struct bytes b;

    for (int i = 0; i < n; i++)
        room += members[i].bytes.n + 1024;
    b = bytes_of(room);
    if (strcmp(kind, "zip") == 0)
        archive_write_set_format_zip(a);
    else
        archive_write_set_format_ustar(a);
    if (strcmp(kind, "tar.gz") == 0)
        archive_write_add_filter_gzip(a);
    archive_write_set_bytes_in_last_block(a, 1);
    assert_int_equal(archive_write_open_memory(a, b.at, room, &used), ARCHIVE_OK);
    for (int i = 0; i < n; i++) {
        struct archive_entry *e = archive_entry_new();

        archive_entry_set_pathname(e, members[i].name);
        archive_entry_set_size(e, (la_int64_t)members[i].bytes.n);
        archive_entry_set_filetype(e, AE_IFREG);
        archive_entry_set_perm(e, 0644);
        assert_int_equal(archive_write_header(a, e), ARCHIVE_OK);
        assert_int_equal(archive_write_data(a, members[i].bytes.at, members[i].bytes.n),
                         members[i].bytes.n);
        archive_entry_free(e);
    }
    assert_int_equal(archive_write_close(a), ARCHIVE_OK);
    archive_write_free(a);
    b.n = used;
    return b;
}

struct png_kind {
    int depth, type; /* PNG_COLOR_TYPE_* */
    bool interlaced;
    const png_color *palette;
    int n_palette;
};

static inline void png_append(png_structp png, png_bytep data, size_t n)
{
    struct bytes *b = png_get_io_ptr(png);

    b->at = realloc(b->at, b->n + n);
    memcpy(b->at + b->n, data, n);
    b->n += n;
}

static inline void png_flushed(png_structp png)
{
    (void)png;
}

/* rows: packed as PNG packs them, `row` bytes each. */
static inline struct bytes png_make(struct png_kind k, int w, int h, const uint8_t *rows,
                                    size_t row)
{
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_bytep lines[256];
    struct bytes b = {0};

    for (int i = 0; i < h; i++)
        lines[i] = (png_bytep)rows + (size_t)i * row;
    png_set_write_fn(png, &b, png_append, png_flushed);
    png_set_IHDR(png, info, (png_uint_32)w, (png_uint_32)h, k.depth, k.type,
                 k.interlaced ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (k.palette)
        png_set_PLTE(png, info, k.palette, k.n_palette);
    png_set_rows(png, info, lines);
    png_write_png(png, info, PNG_TRANSFORM_IDENTITY, NULL);
    png_destroy_write_struct(&png, &info);
    return b;
}

/* A grey image of 8 bits. */
static inline struct bytes png_grey(int w, int h, const uint8_t *pixels)
{
    return png_make((struct png_kind){8, PNG_COLOR_TYPE_GRAY, false, NULL, 0}, w, h, pixels,
                    (size_t)w);
}

/* Expects the error: its code and a part of its sentence. */
static inline void expect_error(int code, int expected, const char *part)
{
    if (code != expected || !strstr(err_text(), part))
        fail_msg("code %d, expected %d; '%s', expected '...%s...'", code, expected, err_text(),
                 part);
}

static inline void expect_open(struct data *d, const struct data_config *c)
{
    int code = data_open(d, c, root);

    if (code < 0)
        fail_msg("code %d: %s", code, err_text());
}

static inline void expect_refused(const struct data_config *c, int code, const char *part)
{
    struct data d;

    expect_error(data_open(&d, c, root), code, part);
    assert_null(d.state);
}

/* The byte a pixel was made from. */
static inline int byte_of(real x)
{
    return (int)(x * 255 + (real)0.5);
}

/* The set most tests use, in all formats. */
enum { N = 6, H = 3, W = 4, SIZE = H * W };

static uint8_t pixels[N * SIZE];
static const uint8_t labels[N] = {2, 0, 1, 0, 2, 0};
/* Class and sample of each image. */
static const uint32_t class_of[N] = {2, 0, 1, 0, 2, 0}, sample_of[N] = {0, 0, 0, 1, 1, 2};

/* A PNG whose header is right in itself but states another size; the caller frees it. */
static inline struct bytes png_claiming(uint32_t w, uint32_t h)
{
    struct bytes b = png_grey(W, H, pixels);
    uint32_t sides[] = {w, h}, crc;

    for (int i = 0; i < 8; i++)
        b.at[16 + i] = (uint8_t)(sides[i / 4] >> (24 - 8 * (i % 4)));
    crc = (uint32_t)crc32(0, b.at + 12, 17);
    for (int i = 0; i < 4; i++)
        b.at[29 + i] = (uint8_t)(crc >> (24 - 8 * i));
    return b;
}

static inline int set_make(void **state)
{
    for (int i = 0; i < N * SIZE; i++)
        pixels[i] = (uint8_t)(i * 37 + i / 7);
    return root_make(state);
}

/* That d holds exactly the images above. */
static inline void expect_images(const struct data *d)
{
    real x[SIZE];

    assert_int_equal(d->n_classes, 3);
    assert_int_equal(d->shape.h, H);
    assert_int_equal(d->shape.w, W);
    assert_int_equal(d->shape.c, 1);
    assert_int_equal(data_class_size(d, 0), 3);
    assert_int_equal(data_class_size(d, 1), 1);
    assert_int_equal(data_class_size(d, 2), 2);
    for (int i = 0; i < N; i++) {
        assert_int_equal(data_read(d, class_of[i], sample_of[i], 0, x, NULL), 0);
        for (int k = 0; k < SIZE; k++)
            assert_true(x[k] == (real)pixels[i * SIZE + k] / 255);
    }
}

static inline void expect_set(const struct data_config *c)
{
    struct data d;

    expect_open(&d, c);
    expect_images(&d);
    data_close(&d);
}

static inline void put_npy(const char *name, const char *type, const char *shape, const void *data,
                           size_t n)
{
    struct bytes b = npy_make(type, shape, data, n);

    put_bytes(name, b);
    free(b.at);
}

static const struct data_config npy = {
    .name = "set", .format = "npy", .path = "images.npy", .labels = "labels.npy"};

static inline void put_set(void)
{
    put_npy("images.npy", "|u1", "6, 3, 4", pixels, sizeof pixels);
    put_npy("labels.npy", "|u1", "6,", labels, N);
}

/* The set as files: classes b/one (label 0), b/two, c. */
static inline int folder_members(struct member *m)
{
    static const char *const names[N] = {"c/1.png",     "b/one/1.png", "b/two/1.png",
                                         "b/one/2.PNG", "c/2.png",     "b/one/3.png"};

    for (int i = 0; i < N; i++)
        m[N - 1 - i] = (struct member){names[i], png_grey(W, H, pixels + i * SIZE)};
    m[N] = (struct member){"c/notes.txt", bytes_of(5)};
    m[N + 1] = (struct member){"c/._1.png", bytes_of(5)};
    m[N + 2] = (struct member){".hidden/1.png", bytes_of(5)};
    return N + 3;
}

#endif
