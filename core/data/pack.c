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
    struct pack_watch *watch;
    const struct output *o; /* borrowed; of the images */
    uint64_t n, done;
    uint32_t *place; /* owned; of each flat sample: which image of the file it becomes */
    uint8_t *bytes;  /* owned; one image */
    off_t start;     /* of the first image in the file */
    uint64_t next;   /* the image that the file's position is at */
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

/* A .npy header of version 1, padded so that the numbers start at a multiple of 64: returns
 * where. */
static int header_write(FILE *f, const char *type, const char *shape)
{
    char text[256];
    int n = snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }",
                     type, shape);
    int length = (10 + n + 1 + 63) / 64 * 64 - 10;

    fwrite("\x93NUMPY\x01\x00", 1, 8, f);
    fputc(length & 0xff, f);
    fputc(length >> 8, f);
    fprintf(f, "%-*s\n", length - 1, text);
    return 10 + length;
}

static bool is_finite(const real *x, size_t n)
{
    size_t i = 0;

    while (i < n && isfinite(x[i]))
        i++;
    return i == n;
}

static int refuse_image(const struct packing *p, uint32_t index)
{
    char where[1024];

    p->d->ops->where(p->d, p->d->turned_classes ? index / 4 : index, where, sizeof where);
    return err(ERR_DATA,
               "%s has a pixel that is not a finite number, which no byte can hold: repair or "
               "remove the image",
               where);
}

static void range_widen(struct pack_watch *w, uint8_t byte)
{
    w->low = byte < w->low ? byte : w->low;
    w->high = byte > w->high ? byte : w->high;
}

/* Images come in the order in which they are read, and go where their class is. */
static int place_seek(struct packing *p, uint64_t place)
{
    if (place != p->next &&
        fseeko(p->o->file, p->start + (off_t)(place * shape_size(p->d->shape)), SEEK_SET) != 0)
        return write_error(p->o);
    p->next = place + 1;
    return 0;
}

static int image_write(void *context, uint32_t index, const real *x)
{
    struct packing *p = context;
    size_t size = shape_size(p->d->shape);

    if (!is_finite(x, size))
        return refuse_image(p, index);
    for (size_t i = 0; i < size; i++) {
        p->bytes[i] = (uint8_t)(x[i] * 255 + (real)0.5);
        range_widen(p->watch, p->bytes[i]);
    }
    TRY(place_seek(p, p->place[index]));
    fwrite(p->bytes, 1, size, p->o->file);
    if (ferror(p->o->file))
        return write_error(p->o);
    return p->watch->written(p->watch->context, ++p->done, p->n);
}

static int images_write(struct packing *p, const struct output *o)
{
    struct shape s = p->d->shape;
    char shape[96], channels[16] = "";

    if (s.c > 1)
        snprintf(channels, sizeof channels, ", %d", s.c);
    snprintf(shape, sizeof shape, "%ju, %d, %d%s", (uintmax_t)p->n, s.h, s.w, channels);
    p->start = header_write(o->file, "|u1", shape);
    p->o = o;
    return data_each(p->d, image_write, p);
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

/* Within a class, samples keep the flat order. */
static int places_set(struct packing *p)
{
    const struct data *d = p->d;
    uint32_t *next = calloc((size_t)d->n_classes + 1, sizeof *next), class_id;

    p->place = calloc((size_t)d->n_samples + 1, sizeof *p->place);
    if (!p->place || !next) {
        free(next);
        return err(ERR_MEMORY, "out of memory for the index of %u images", d->n_samples);
    }
    for (uint32_t i = 0; i < d->n_classes; i++)
        next[i + 1] = next[i] + data_class_size(d, i);
    for (uint32_t i = 0; i < d->n_samples; i++) {
        data_label_flat(d, i, &class_id);
        p->place[i] = next[class_id]++;
    }
    free(next);
    return 0;
}

static int packing_init(struct packing *p, const struct data *d, const char *dest,
                        struct pack_watch *w)
{
    size_t n = strlen(dest);

    *p = (struct packing){.d = d, .watch = w, .n = d->n_samples};
    w->low = UINT8_MAX;
    w->high = 0;
    if (d->n_samples == DATA_ENDLESS || d->n_target > 0)
        return err(ERR_USAGE, "data '%s' is endless, only image files can be packed", d->name);
    if (n < 5 || strcmp(dest + n - 4, ".npy") != 0 || dest[n - 5] == '/')
        return err(ERR_USAGE, "'%s' does not end in .npy", dest);
    p->bytes = calloc(shape_size(d->shape), 1);
    if (!p->bytes)
        return err(ERR_MEMORY, "out of memory for an image");
    return places_set(p);
}

int data_pack(const struct data *d, const char *dest, struct pack_watch *w)
{
    struct output outputs[N_OUTPUTS] = {0};
    struct packing p;
    int code = packing_init(&p, d, dest, w);

    if (code == 0)
        code = pack_to(&p, dest, outputs);
    for (int i = 0; i < N_OUTPUTS; i++)
        output_release(&outputs[i]);
    free(p.place);
    free(p.bytes);
    return code;
}
