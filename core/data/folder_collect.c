/* folder_collect.c - images one by one become a store; classes are the folders they lie in. */
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/data/folder.h"

/* The path without "." and empty parts. Owned by the caller. */
static char *clean_copy(const char *path)
{
    char *copy = calloc(strlen(path) + 1, 1), *to = copy;

    while (copy && *path) {
        size_t n = strcspn(path, "/");

        if (n > 0 && !(n == 1 && *path == '.')) {
            if (to > copy)
                *to++ = '/';
            to = mempcpy(to, path, n);
        }
        path += n + (path[n] == '/');
    }
    return copy;
}

int folder_directory(struct folder *f, const char *path)
{
    bool hidden, junk;
    char **grown;

    folder_look(path, &hidden, &junk);
    if (hidden || junk)
        return 0;
    grown = realloc(f->directories, (f->n_directories + 1) * sizeof *grown);
    if (!grown)
        return err(ERR_MEMORY, "out of memory for %u folders", f->n_directories);
    f->directories = grown;
    grown[f->n_directories] = clean_copy(path);
    if (!grown[f->n_directories])
        return err(ERR_MEMORY, "out of memory for a path");
    if (grown[f->n_directories][0] == '\0')
        free(grown[f->n_directories]);
    else
        f->n_directories++;
    return 0;
}

int folder_pass_over(struct folder *f, const char *path)
{
    char *slash, *copy = clean_copy(path);
    int code = copy ? 0 : err(ERR_MEMORY, "out of memory for a path");

    f->n_passed++;
    if (copy && (!f->passed || strcmp(copy, f->passed) < 0)) {
        free(f->passed);
        f->passed = strdup(copy);
    }
    slash = copy ? strrchr(copy, '/') : NULL;
    if (slash) {
        *slash = '\0';
        code = folder_directory(f, copy);
    }
    free(copy);
    return code;
}

/* True for a folder without an image in it or below it. */
static bool is_empty(const struct store *s, const char *directory)
{
    size_t n = strlen(directory);

    for (uint32_t i = 0; i < s->names.n; i++)
        if (strncmp(s->names.items[i], directory, n) == 0 &&
            (s->names.items[i][n] == '/' || s->names.items[i][n] == '\0'))
            return false;
    return true;
}

/* Notes for the user: the files that were not read, and the first class without an image, by
 * name. */
static void tell_passed(struct folder *f)
{
    struct store *s = f->store;

    for (uint32_t i = 0; i < f->n_directories; i++)
        if (is_empty(s, f->directories[i]) &&
            (!s->empty || strcmp(f->directories[i], s->empty) < 0)) {
            free(s->empty);
            s->empty = strdup(f->directories[i]);
        }
    if (f->n_passed > 0)
        store_note(
            s, "%u file%s of '%s' %s not read, the first is '%s': images are PNG and JPEG files",
            f->n_passed, f->n_passed == 1 ? "" : "s", f->src->path, f->n_passed == 1 ? "is" : "are",
            f->passed ? f->passed : "");
}

static int path_check(const struct folder *f, const char *path)
{
    for (const char *at = path; *at; at++)
        if ((unsigned char)*at < ' ')
            return err(ERR_DATA, "'%s' holds a file with a control character in its name: '%s'",
                       f->src->path, path);
    if (!strchr(path, '/') && !f->taker)
        return err(ERR_DATA, "'%s' holds the image '%s' in no folder that would be its class",
                   f->src->path, path);
    return 0;
}

static int items_grow(struct folder *f)
{
    uint32_t room = f->room > 0 ? 2 * f->room : 256;
    struct item *items;

    if (f->n < f->room)
        return 0;
    items = f->n < DATA_GRID / 2 ? realloc(f->items, room * sizeof *items) : NULL;
    if (!items)
        return err(ERR_MEMORY, "out of memory for %u images", room);
    f->items = items;
    f->room = room;
    return 0;
}

/* Room for one more image of `size` bytes. */
static int pixels_grow(struct folder *f, size_t size)
{
    struct blob *b = &f->store->pixels;
    size_t used = f->n * size, n = 2 * (used + size);
    uint8_t *bytes;

    if (used + size <= b->n)
        return 0;
    if (used + size > DATA_BYTES_MAX)
        return err(ERR_DATA, "'%s' holds more than %zu bytes of pixels", f->src->path,
                   DATA_BYTES_MAX);
    bytes = realloc(b->bytes, n);
    if (!bytes)
        return err(ERR_MEMORY, "out of memory for %zu bytes of '%s'", n, f->src->path);
    b->bytes = bytes;
    b->n = n;
    return 0;
}

static const char *colours(int channels)
{
    return channels == 1 ? "grey" : "colour";
}

/* All images agree in channels and size, once they are framed. */
static int shape_check(struct folder *f, struct shape s, const char *path)
{
    const struct shape *like = f->like ? f->like : &f->store->shape;
    bool is_size;

    if (f->n == 0 && !f->like)
        f->store->shape = s;
    if (!f->first)
        f->first = strdup(path);
    is_size = s.h == like->h && s.w == like->w;
    if (is_size && s.c == like->c)
        return 0;
    return err(
        ERR_DATA, "'%s' holds '%s' of %d x %d pixels in %s, and '%s' of %d x %d in %s: %s%s%s",
        f->src->path, f->first ? f->first : "", like->h, like->w, colours(like->c), path, s.h, s.w,
        colours(s.c), s.c == like->c ? "" : "set 'channels' to 1 (grey) or 3 (colour)",
        s.c != like->c && !is_size ? ", and " : "",
        is_size ? "" : "set 'resize' to one size in pixels for all");
}

/* As the section says; channels that it does not set are those of the image, on the background. */
static int pixels_keep(struct folder *f, const char *path)
{
    struct shape s = f->picture.shape;
    struct framing framing = f->src->framing;
    size_t size;

    if (!framing.channels)
        framing.channels = s.c <= 2 ? 1 : 3;
    TRY(shape_check(f, framing_shape(&framing, s), path));
    size = shape_size(f->store->shape);
    TRY(pixels_grow(f, size));
    return framing_bytes(&framing, f->picture.pixels, s, f->store->pixels.bytes + f->n * size);
}

/* Bytes that this image may unpack to: a zip may compress once more what PNG has compressed a
 * thousandfold. Resized images are not kept, so they have no total limit. */
static size_t pixels_left(const struct folder *f)
{
    return f->packed * DATA_RATIO_MAX + DATA_RATIO_FREE + DATA_RATIO_SLACK - f->unpacked;
}

static int image_keep(struct folder *f, const char *path, const uint8_t *bytes, size_t n)
{
    char what[1024];

    snprintf(what, sizeof what, f->single ? "%s" : "%s:%s", f->src->path, path);
    f->packed += n;
    TRY(picture_decode(&f->picture, bytes, n, pixels_left(f), what));
    f->unpacked += shape_size(f->picture.shape);
    TRY(pixels_keep(f, path));
    sizes_add(&f->store->sizes, f->picture.shape);
    return 0;
}

/* path: cleaned; on success it belongs to the folder, unless somebody takes the images. */
static int item_add(struct folder *f, char *path, const uint8_t *bytes, size_t n)
{
    TRY(path_check(f, path));
    if (f->taker && !f->taker->wants(f->taker->context))
        return 0;
    TRY(items_grow(f));
    if (!f->src->listed || f->n == 0)
        TRY(image_keep(f, path, bytes, n));
    if (f->taker)
        return f->taker->take(f->taker->context, path);
    f->items[f->n] = (struct item){.path = path, .image = f->n};
    f->n++;
    return 0;
}

int folder_add(struct folder *f, const char *path, const uint8_t *bytes, size_t n)
{
    char *copy = clean_copy(path);
    int code = copy ? item_add(f, copy, bytes, n) : err(ERR_MEMORY, "out of memory for a path");

    if (code < 0 || f->taker)
        free(copy);
    return code;
}

static const char *item_file(const struct item *i)
{
    return i->path + strlen(i->path) + 1;
}

static int item_compare(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    int order = strcmp(x->path, y->path);

    return order ? order : strcmp(item_file(x), item_file(y));
}

const struct item *folder_find(const struct folder *f, char *path)
{
    struct item key = {.path = path};

    *strrchr(path, '/') = '\0';
    return bsearch(&key, f->items, f->n, sizeof key, item_compare);
}

static int index_alloc(struct folder *f, size_t text)
{
    struct store *s = f->store;

    s->labels = calloc(f->n, sizeof *s->labels);
    s->at = calloc(f->n, sizeof *s->at);
    s->names = (struct names){.n = s->n_classes,
                              .items = calloc(s->n_classes, sizeof *s->names.items),
                              .text = calloc(text, 1)};
    if (!s->labels || !s->at || !s->names.items || !s->names.text)
        return err(ERR_MEMORY, "out of memory for the index of %u images", f->n);
    return 0;
}

static bool class_starts(const struct folder *f, uint32_t i)
{
    return i == 0 || strcmp(f->items[i].path, f->items[i - 1].path) != 0;
}

static int items_check(const struct folder *f)
{
    for (uint32_t i = 1; i < f->n; i++)
        if (item_compare(&f->items[i - 1], &f->items[i]) == 0)
            return err(ERR_DATA, "'%s' holds '%s/%s' twice", f->src->path, f->items[i].path,
                       item_file(&f->items[i]));
    return 0;
}

int folder_index(struct folder *f)
{
    struct store *s = f->store;
    size_t text = 0;
    char *name;

    if (f->n == 0)
        return f->n_passed > 0
                   ? err(ERR_DATA,
                         "'%s' holds no PNG or JPEG image; of its %u other file%s the first is "
                         "'%s'",
                         f->src->path, f->n_passed, plural(f->n_passed), f->passed)
                   : err(ERR_DATA, "'%s' holds no PNG or JPEG image", f->src->path);
    for (uint32_t i = 0; i < f->n; i++)
        *strrchr(f->items[i].path, '/') = '\0';
    qsort(f->items, f->n, sizeof *f->items, item_compare);
    TRY(items_check(f));
    for (uint32_t i = 0; i < f->n; i++)
        if (class_starts(f, i)) {
            s->n_classes++;
            text += strlen(f->items[i].path) + 1;
        }
    TRY(index_alloc(f, text));
    name = s->names.text;
    for (uint32_t i = 0, class_id = 0; i < f->n; i++) {
        if (class_starts(f, i)) {
            s->names.items[class_id++] = strcpy(name, f->items[i].path);
            name += strlen(name) + 1;
        }
        s->labels[i] = class_id - 1;
        s->at[i] = f->items[i].image;
    }
    s->n = f->n;
    tell_passed(f);
    return names_shorten(&s->names);
}

void folder_release(struct folder *f)
{
    for (uint32_t i = 0; i < f->n; i++)
        free(f->items[i].path);
    free(f->items);
    for (uint32_t i = 0; i < f->n_directories; i++)
        free(f->directories[i]);
    free(f->directories);
    free(f->passed);
    free(f->first);
    picture_release(&f->picture);
}
