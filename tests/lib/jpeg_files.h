/* jpeg_files.h - JPEG files of every kind, made by libjpeg. */
#ifndef TESTS_LIB_JPEG_FILES_H
#define TESTS_LIB_JPEG_FILES_H

#include "tests/lib/data_files.h"

#include <jpeglib.h>

struct jpeg_kind {
    const char *name;
    J_COLOR_SPACE in, stored;
    int h, v; /* sampling of the first component */
    bool progressive, arithmetic;
    int restart; /* in MCU rows */
};

/* A smooth ramp with a hard edge, in any number of channels. */
static inline uint8_t jpeg_value(int i, int j, int c)
{
    return (uint8_t)((i * (7 - c) + j * (3 + 2 * c)) % 256 ^ (j > i ? 0x60 : 0));
}

static inline void jpeg_lines(struct jpeg_compress_struct *info)
{
    uint8_t row[4 * 4096], *at = row;
    int c = info->input_components;

    for (int i = 0; i < (int)info->image_height; i++) {
        for (int k = 0; k < c * (int)info->image_width; k++)
            row[k] = jpeg_value(i, k / c, k % c);
        jpeg_write_scanlines(info, &at, 1);
    }
}

static inline struct bytes jpeg_make(struct jpeg_kind k, int w, int h)
{
    struct jpeg_compress_struct info;
    struct jpeg_error_mgr errors;
    struct bytes b = {0};
    unsigned long n = 0;

    info.err = jpeg_std_error(&errors);
    jpeg_create_compress(&info);
    jpeg_mem_dest(&info, &b.at, &n);
    info.image_width = (JDIMENSION)w;
    info.image_height = (JDIMENSION)h;
    info.input_components = k.in == JCS_GRAYSCALE ? 1 : k.in == JCS_CMYK ? 4 : 3;
    info.in_color_space = k.in;
    jpeg_set_defaults(&info);
    jpeg_set_colorspace(&info, k.stored);
    jpeg_set_quality(&info, 85, TRUE);
    info.comp_info[0].h_samp_factor = k.h;
    info.comp_info[0].v_samp_factor = k.v;
    info.arith_code = k.arithmetic;
    info.restart_in_rows = k.restart;
    if (k.progressive)
        jpeg_simple_progression(&info);
    jpeg_start_compress(&info, TRUE);
    jpeg_lines(&info);
    jpeg_finish_compress(&info);
    jpeg_destroy_compress(&info);
    b.n = n;
    return b;
}

#endif
