/* bomb_files.h - files that cost much more to believe than to store, written piece by piece. */
#ifndef TESTS_LIB_BOMB_FILES_H
#define TESTS_LIB_BOMB_FILES_H

#include "tests/lib/data_files.h"

enum { MIB = 1 << 20, MILLION = 1000000 };

static inline FILE *bomb_open(const char *name)
{
    FILE *f = fopen(in_root(name), "w");

    assert_non_null(f);
    return f;
}

static inline void bomb_close(FILE *f)
{
    assert_false(ferror(f));
    assert_int_equal(fclose(f), 0);
}

/* n bytes that are `text` over and over. */
static inline void put_repeated(FILE *f, const char *text, size_t n)
{
    size_t length = strlen(text);

    while (n >= length) {
        fwrite(text, 1, length, f);
        n -= length;
    }
    fwrite(text, 1, n, f);
}

static inline void put_little(FILE *f, uint64_t x, int n_bytes)
{
    for (int i = 0; i < n_bytes; i++)
        fputc((int)(x >> 8 * i & 0xff), f);
}

/* `head` and zeros, n MiB in all, through deflate: bits as deflateInit2 has them. */
static inline struct bytes deflate_zeros(const void *head, size_t n_head, int n, int bits)
{
    struct bytes room = bytes_of(MIB), out = bytes_of((size_t)n * (MIB / 1000 + 200) + 4096);
    z_stream z = {.next_out = out.at, .avail_out = (uInt)out.n};

    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    memcpy(room.at, head, n_head);
    for (int i = 0; i < n; i++) {
        z.next_in = room.at;
        z.avail_in = MIB;
        assert_true(deflate(&z, i + 1 < n ? Z_NO_FLUSH : Z_FINISH) >= 0);
        memset(room.at, 0, n_head);
    }
    assert_int_equal(z.avail_in, 0);
    out.n = z.total_out;
    deflateEnd(&z);
    free(room.at);
    return out;
}

struct zip_out { /* a zip whose sizes are whatever is stated */
    FILE *f, *directory;
    uint32_t n, at, n_directory;
};

static inline void zip_begin(struct zip_out *z, const char *name)
{
    *z = (struct zip_out){.f = bomb_open(name), .directory = tmpfile()};
    assert_non_null(z->directory);
}

static inline void zip_header(FILE *f, int method, struct bytes b, uint32_t stated, size_t n_name)
{
    put_little(f, 20, 2);
    put_little(f, 0, 2);
    put_little(f, (uint64_t)method, 2);
    put_little(f, 0, 4);
    put_little(f, crc32(0, b.at, (uInt)b.n), 4); /* right for what is stored */
    put_little(f, b.n, 4);
    put_little(f, stated, 4);
    put_little(f, n_name, 2);
    put_little(f, 0, 2);
}

static inline void zip_add(struct zip_out *z, const char *name, int method, struct bytes b,
                           uint32_t stated)
{
    size_t n_name = strlen(name);

    fwrite("PK\3\4", 1, 4, z->f);
    zip_header(z->f, method, b, stated, n_name);
    fwrite(name, 1, n_name, z->f);
    fwrite(b.at, 1, b.n, z->f);
    fwrite("PK\1\2\x14\3", 1, 6, z->directory);
    zip_header(z->directory, method, b, stated, n_name);
    put_little(z->directory, 0, 6);
    put_little(z->directory, 0100644u << 16, 4);
    put_little(z->directory, z->at, 4);
    fwrite(name, 1, n_name, z->directory);
    z->at += (uint32_t)(30 + n_name + b.n);
    z->n_directory += (uint32_t)(46 + n_name);
    z->n++;
}

/* stated: how many members the end says there are. */
static inline void zip_end(struct zip_out *z, uint32_t stated)
{
    char piece[4096];
    size_t n;

    rewind(z->directory);
    while ((n = fread(piece, 1, sizeof piece, z->directory)) > 0)
        fwrite(piece, 1, n, z->f);
    fclose(z->directory);
    fwrite("PK\5\6\0\0\0\0", 1, 8, z->f);
    put_little(z->f, stated, 2);
    put_little(z->f, stated, 2);
    put_little(z->f, z->n_directory, 4);
    put_little(z->f, z->at, 4);
    put_little(z->f, 0, 2);
    bomb_close(z->f);
}

static inline void png_chunk(FILE *f, const char *type, const void *content, size_t n)
{
    uint32_t crc = (uint32_t)crc32(crc32(0, (const Bytef *)type, 4), content, (uInt)n);

    for (int i = 0; i < 4; i++)
        fputc((int)(n >> (24 - 8 * i) & 0xff), f);
    fwrite(type, 1, 4, f);
    fwrite(content, 1, n, f);
    for (int i = 0; i < 4; i++)
        fputc((int)(crc >> (24 - 8 * i) & 0xff), f);
}

#endif
