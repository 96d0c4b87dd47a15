/* flow.c - the loader of folders, with one place for an image instead of a store of all. */
#include "core/data/flow.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/config/config.h"
#include "core/data/folder.h"

int flow_open(struct flow *f, const struct data_config *section, struct shape shape,
              const struct flow_taker *taker)
{
    *f = (struct flow){.section = section, .shape = shape, .taker = *taker};
    f->x = calloc(shape_size(shape), sizeof *f->x);
    return f->x ? shift_set(&f->shift, section) : err(ERR_MEMORY, "no memory for an image");
}

void flow_close(struct flow *f)
{
    blob_release(&f->one.pixels);
    free(f->passed);
    free(f->x);
    *f = (struct flow){0};
}

static const char *kind_of(int channels)
{
    return channels == 1 ? "grey" : "colour";
}

static int check_shape(const struct flow *f, const struct raster *r, const char *file)
{
    struct shape s = raster_shape(r);

    if (s.h == f->shape.h && s.w == f->shape.w && s.c == f->shape.c)
        return 0;
    return err(ERR_DATA, "'%s' has %d x %d pixels in %s, the model takes %d x %d in %s", file, s.h,
               s.w, kind_of(s.c), f->shape.h, f->shape.w, kind_of(f->shape.c));
}

/* The image that the loader has just put into the place. */
static int hand_over(struct flow *f, const char *path, const char *file)
{
    const struct raster r = {
        .u8 = f->one.pixels.bytes, .inner = f->one.shape, .margin = (int)f->section->margin};
    const char *slash = strrchr(path, '/');
    char *folder;
    int code;

    TRY(check_shape(f, &r, file));
    shift_read(&f->shift, &r, 0, (uint32_t)f->n, f->x);
    f->one.u8 = f->one.pixels.bytes;
    looks_add(&f->looks, &f->one, 0);
    folder = strndup(path, slash ? (size_t)(slash - path) : 0);
    if (!folder)
        return err(ERR_MEMORY, "no memory for the name of an image");
    code = f->taker.take(f->taker.context, &(struct flow_image){file, folder, f->n, f->x});
    free(folder);
    return code;
}

static bool wants(void *context)
{
    struct flow *f = context;

    if (!f->taker.wants || f->taker.wants(f->taker.context, f->n))
        return true;
    f->n++;
    return false;
}

static int take(void *context, const char *path)
{
    struct flow *f = context;
    const char *slash = f->path[strlen(f->path) - 1] == '/' ? "" : "/";
    char *file;
    int code;

    if ((f->folder->single ? asprintf(&file, "%s", f->path)
                           : asprintf(&file, "%s%s%s", f->path, slash, path)) < 0)
        return err(ERR_MEMORY, "no memory for the name of an image");
    code = hand_over(f, path, file);
    free(file);
    f->n++;
    return code;
}

/* Files that are no images are told once, by the first. */
static void note_passed(struct flow *f, struct folder *folder)
{
    f->n_passed += folder->n_passed;
    if (f->passed || !folder->passed)
        return;
    f->passed = folder->passed;
    folder->passed = NULL;
}

int flow_read(struct flow *f, const char *path)
{
    const struct folder_taker taker = {wants, take, f};
    struct store_source source = {.format = "folder", .path = (char *)path};
    struct folder folder = {.src = &source, .store = &f->one, .taker = &taker};
    int code = framing_set(&source.framing, f->section);

    f->path = path;
    f->folder = &folder;
    if (code >= 0)
        code = folder_collect(&folder);
    note_passed(f, &folder);
    folder_release(&folder);
    f->folder = NULL;
    return code;
}
