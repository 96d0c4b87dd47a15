/* pack.c - writes three temporary files, syncs them, then renames them. */
#include "core/data/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/base/outfile.h"

struct output {
    char *path; /* owned */
    struct outfile out;
    FILE *file; /* owned; writes to out */
};

struct packing {
    const struct data *d; /* borrowed */
    uint64_t n;
    real *x;        /* owned; one image */
    uint8_t *bytes; /* owned; the same */
};

static int output_open(struct output *o, const char *stem, int n_stem, const char *end)
{
    int fd;

    o->out.fd = -1;
    if (asprintf(&o->path, "%.*s%s", n_stem, stem, end) < 0) {
        o->path = NULL;
        return err(ERR_MEMORY, "out of memory for a path");
    }
    TRY(outfile_open(&o->out, o->path));
    fd = fcntl(o->out.fd, F_DUPFD_CLOEXEC, 3);
    o->file = fd < 0 ? NULL : fdopen(fd, "w");
    if (o->file)
        return 0;
    if (fd >= 0)
        close(fd);
    return err(ERR_MEMORY, "out of memory for '%s'", o->path);
}

static int write_error(const struct output *o)
{
    return err(ERR_IO, "cannot write '%s': %s", o->path, strerror(errno));
}

static int output_sync(struct output *o)
{
    FILE *file = o->file;
    int failed = ferror(file) | fflush(file);

    o->file = NULL;
    if (failed) {
        int code = write_error(o);

        fclose(file);
        return code;
    }
    return fclose(file) == 0 ? outfile_sync(&o->out) : write_error(o);
}

static void output_release(struct output *o)
{
    if (o->file)
        fclose(o->file);
    if (o->path)
        outfile_abandon(&o->out);
    free(o->path);
}

/* A .npy header of version 1, padded so that the numbers start at a multiple of 64. */
static int header_write(FILE *f, const char *type, const char *shape)
{
    char text[256];
    int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
                     type, shape);
    int length = (10 + n + 1 + 63) / 64 * 64 - 10;

    fwrite("\x93NUMPY\x01\x00", 1, 8, f);
    fputc(length & 0xff, f);
    fputc(length >> 8, f);
    return fprintf(f, "%-*s\n", length - 1, text);
}

static bool is_finite(const real *x, size_t n)
{
    size_t i = 0;

    while (i < n && isfinite(x[i]))
        i++;
    return i == n;
}

/* Names the first image of the file that has such a pixel. */
static int refuse_image(struct packing *p)
{
    uint32_t per = p->d->turned_classes ? 4 : 1;
    char where[1024] = "an image";

    for (uint32_t i = 0; i < p->d->n_samples / per; i++) {
        TRY(p->d->ops->read_flat(p->d, i, p->x));
        if (is_finite(p->x, shape_size(p->d->shape)))
            continue;
        p->d->ops->where(p->d, i, where, sizeof where);
        break;
    }
    return err(ERR_DATA,
               "%s has a pixel that is not a finite number, which no byte can hold: repair or "
               "remove the image",
               where);
}

static int image_write(struct packing *p, uint32_t class_id, uint32_t sample, FILE *f)
{
    size_t size = shape_size(p->d->shape);

    TRY(data_read(p->d, class_id, sample, 0, p->x, NULL));
    if (!is_finite(p->x, size))
        return refuse_image(p);
    for (size_t i = 0; i < size; i++)
        p->bytes[i] = (uint8_t)(p->x[i] * 255 + (real)0.5);
    fwrite(p->bytes, 1, size, f);
    return 0;
}

static int images_write(struct packing *p, const struct output *o)
{
    struct shape s = p->d->shape;
    char shape[96], channels[16] = "";

    if (s.c > 1)
        snprintf(channels, sizeof channels, ", %d", s.c);
    snprintf(shape, sizeof shape, "%ju, %d, %d%s", (uintmax_t)p->n, s.h, s.w, channels);
    header_write(o->file, "|u1", shape);
    for (uint32_t i = 0; i < p->d->n_classes; i++)
        for (uint32_t k = 0; k < data_class_size(p->d, i) && !ferror(o->file); k++)
            TRY(image_write(p, i, k, o->file));
    return ferror(o->file) ? write_error(o) : 0;
}

static void labels_write(const struct packing *p, const struct output *o)
{
    char shape[32];

    snprintf(shape, sizeof shape, "%ju,", (uintmax_t)p->n);
    header_write(o->file, "<i8", shape);
    for (uint32_t i = 0; i < p->d->n_classes; i++)
        for (uint32_t k = 0; k < data_class_size(p->d, i); k++)
            for (int byte = 0; byte < 8; byte++)
                fputc(byte < 4 ? i >> 8 * byte & 0xff : 0, o->file);
}

static void classes_write(const struct packing *p, const struct output *o)
{
    char name[4096];

    for (uint32_t i = 0; i < p->d->n_classes; i++) {
        data_class_name(p->d, i, name, sizeof name);
        fprintf(o->file, "%s\n", name);
    }
}

enum { IMAGES, LABELS, CLASSES, N_OUTPUTS };

static int pack_to(struct packing *p, const char *dest, struct output *o)
{
    static const char *const ends[N_OUTPUTS] = {".npy", "_labels.npy", "_classes.txt"};
    int stem = (int)strlen(dest) - 4;

    for (int i = 0; i < N_OUTPUTS; i++)
        TRY(output_open(&o[i], dest, stem, ends[i]));
    TRY(images_write(p, &o[IMAGES]));
    labels_write(p, &o[LABELS]);
    classes_write(p, &o[CLASSES]);
    for (int i = 0; i < N_OUTPUTS; i++)
        TRY(output_sync(&o[i]));
    for (int i = N_OUTPUTS - 1; i >= 0; i--) /* images last: they say that the set is complete */
        TRY(outfile_commit(&o[i].out));
    return 0;
}

static int packing_init(struct packing *p, const struct data *d, const char *dest)
{
    size_t size = shape_size(d->shape), n = strlen(dest);

    *p = (struct packing){.d = d};
    if (d->n_samples == DATA_ENDLESS || d->n_target > 0)
        return err(ERR_USAGE, "data '%s' is endless, only image files can be packed", d->name);
    if (n < 5 || strcmp(dest + n - 4, ".npy") != 0 || dest[n - 5] == '/')
        return err(ERR_USAGE, "'%s' does not end in .npy", dest);
    for (uint32_t i = 0; i < d->n_classes; i++)
        p->n += data_class_size(d, i);
    p->x = calloc(size, sizeof *p->x);
    p->bytes = calloc(size, 1);
    return p->x && p->bytes ? 0 : err(ERR_MEMORY, "out of memory for an image");
}

int data_pack(const struct data *d, const char *dest)
{
    struct output outputs[N_OUTPUTS] = {0};
    struct packing p;
    int code = packing_init(&p, d, dest);

    if (code == 0)
        code = pack_to(&p, dest, outputs);
    for (int i = 0; i < N_OUTPUTS; i++)
        output_release(&outputs[i]);
    free(p.x);
    free(p.bytes);
    return code;
}
