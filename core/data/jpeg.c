/* jpeg.c - libjpeg-turbo over bytes in memory, with the defaults of djpeg. */
#include "core/data/jpeg.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "core/base/err.h"
#include "core/data/exif.h"
#include "core/data/framing.h"

enum { SCANS_MAX = 100 }; /* of a progressive file: each looks at the whole image; usual are 10 */

struct jpeg {
    struct jpeg_decompress_struct info;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf failed;
    const uint8_t *bytes;
    size_t n, limit, at;
    struct picture *picture;
    int code;
    char text[JMSG_LENGTH_MAX];
};

static void give_up(struct jpeg *j, int code, const char *text)
{
    j->code = code;
    snprintf(j->text, sizeof j->text, "%s", text);
    longjmp(j->failed, 1);
}

/* libjpeg's errors, and its warnings that pixels were made up. */
static void jpeg_failed(j_common_ptr info)
{
    char text[JMSG_LENGTH_MAX];

    info->err->format_message(info, text);
    give_up(info->client_data, info->err->msg_code == JERR_OUT_OF_MEMORY ? ERR_MEMORY : ERR_DATA,
            text);
}

/* Warnings of bytes that are skipped, or of marks without a meaning: the pixels are all there. */
static bool is_harmless(int code)
{
    return code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR || code == JWRN_ADOBE_XFORM;
}

static void jpeg_told(j_common_ptr info, int level)
{
    if (level < 0 && !is_harmless(info->err->msg_code))
        jpeg_failed(info);
}

static void scan_begun(j_common_ptr info)
{
    if (((j_decompress_ptr)info)->input_scan_number > SCANS_MAX)
        give_up(info->client_data, ERR_DATA, "it has more than 100 scans");
}

static void start(struct jpeg *j)
{
    j->info.err = jpeg_std_error(&j->errors);
    j->errors.error_exit = jpeg_failed;
    j->errors.emit_message = jpeg_told;
    j->info.client_data = j;
    j->progress.progress_monitor = scan_begun;
}

static void header_read(struct jpeg *j)
{
    struct jpeg_decompress_struct *info = &j->info;
    int c;

    jpeg_mem_src(info, j->bytes, j->n);
    jpeg_read_header(info, TRUE);
    c = info->num_components == 1 ? 1 : 3;
    if (info->image_width > SIDE_MAX || info->image_height > SIDE_MAX)
        give_up(j, ERR_DATA, "it has more than 4096 pixels a side");
    if ((size_t)info->image_width * info->image_height * (size_t)c > j->limit)
        give_up(j, ERR_DATA, "it unpacks to too much for the size of the files");
    if (info->jpeg_color_space == JCS_UNKNOWN)
        give_up(j, ERR_DATA, "its colours are neither grey, RGB, YCbCr, CMYK nor YCCK");
    j->picture->shape = (struct shape){(int)info->image_height, (int)info->image_width, c};
    if (!picture_room(j->picture, shape_size(j->picture->shape)))
        give_up(j, ERR_MEMORY, "out of memory");
}

/* Files with four inks keep them inverted, as Adobe began to: ink 0 is 255. */
static void inks_lay(const uint8_t *inks, size_t n, uint8_t *rgb)
{
    for (size_t i = 0; i < n; i++)
        for (int k = 0; k < 3; k++)
            rgb[3 * i + (size_t)k] =
                (uint8_t)((inks[4 * i + (size_t)k] * inks[4 * i + 3] + 127) / 255);
}

static void pixels_read(struct jpeg *j)
{
    struct jpeg_decompress_struct *info = &j->info;
    size_t row = (size_t)j->picture->shape.w * (size_t)j->picture->shape.c;
    bool inked;
    JSAMPARRAY inks;

    jpeg_start_decompress(info);
    inked = info->out_color_space == JCS_CMYK;
    inks = inked
               ? info->mem->alloc_sarray((j_common_ptr)info, JPOOL_IMAGE, info->output_width * 4, 1)
               : NULL;
    while (info->output_scanline < info->output_height) {
        uint8_t *to = j->picture->pixels + info->output_scanline * row;

        jpeg_read_scanlines(info, inked ? inks : &to, 1);
        if (inked)
            inks_lay(inks[0], info->output_width, to);
    }
    jpeg_finish_decompress(info);
}

/* Everything that may longjmp, so no local variable here changes. */
static int decode_guarded(struct jpeg *j)
{
    if (setjmp(j->failed))
        return j->code;
    jpeg_create_decompress(&j->info);
    j->info.progress = &j->progress;
    header_read(j);
    pixels_read(j);
    return 0;
}

/* Pixel (i, j) of the turned image is that of the stored one. Exif 2.3, Orientation. */
static size_t pixel_before(int orientation, struct shape s, int i, int j)
{
    bool across = orientation >= 5;
    int row = across ? j : i, column = across ? i : j;

    if (orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7)
        row = s.h - 1 - row;
    if (orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8)
        column = s.w - 1 - column;
    return ((size_t)row * (size_t)s.w + (size_t)column) * (size_t)s.c;
}

static int picture_turn(struct picture *p, int orientation, const char *what)
{
    struct shape s = p->shape, to = orientation >= 5 ? (struct shape){s.w, s.h, s.c} : s;
    size_t size = shape_size(s), at = 0;
    uint8_t *pixels = malloc(size);

    if (!pixels)
        return err(ERR_MEMORY, "out of memory for '%s'", what);
    for (int i = 0; i < to.h; i++)
        for (int j = 0; j < to.w; j++, at += (size_t)s.c)
            memcpy(pixels + at, p->pixels + pixel_before(orientation, s, i, j), (size_t)s.c);
    free(p->pixels);
    *p = (struct picture){.shape = to, .pixels = pixels, .size = size};
    return 0;
}

int jpeg_decode(struct picture *p, const uint8_t *bytes, size_t n, size_t limit, const char *what)
{
    struct jpeg j = {.bytes = bytes, .n = n, .limit = limit, .picture = p};
    int code, orientation = exif_orientation(bytes, n);

    start(&j);
    code = decode_guarded(&j);
    j.at = j.info.src ? n - j.info.src->bytes_in_buffer : 0;
    if (j.info.mem)
        jpeg_destroy_decompress(&j.info);
    if (code < 0)
        return err(code, "'%s' is not a complete JPEG image, at byte %zu: %s", what,
                   j.at < n ? j.at : n, j.text);
    return orientation == 1 ? 0 : picture_turn(p, orientation, what);
}
