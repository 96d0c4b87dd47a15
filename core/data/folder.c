/* folder.c - PNG and JPEG files in class folders: a directory, a .zip, a .tar or a .tar.gz. */
#include "core/data/folder.h"

#include <errno.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "core/base/err.h"
#include "core/data/archive.h"
#include "core/data/images.h"

enum { FILE_MAX = 64 << 20, HEAD = 16 }; /* bytes of one image file; of what tells a format */

static int member_add(struct folder *f, struct reader *r, const char *name, size_t size,
                      struct blob *b)
{
    enum folder_kind kind;

    if (size > FILE_MAX)
        return err(ERR_DATA, "'%s' holds '%s' of %zu bytes, the limit is %d", f->src->path, name,
                   size, FILE_MAX);
    if (size > b->n) {
        blob_release(b);
        TRY(blob_alloc(b, 2 * size));
    }
    TRY(reader_read(r, b->bytes, size));
    TRY(folder_kind(f, name, b->bytes, size, &kind));
    return folder_add(f, name, b->bytes, size);
}

/* Of images after the first, the first bytes are enough for the list. */
static bool only_listed(const struct folder *f)
{
    return f->src->listed && f->n > 0;
}

/* A member of an archive: a folder, an image, or something else. */
static int member_take(struct folder *f, struct reader *r, const char *name, size_t size,
                       struct blob *b)
{
    uint8_t head[HEAD];
    enum folder_kind kind;
    int n;

    if (name[strlen(name) - 1] == '/')
        return folder_directory(f, name);
    TRY(folder_kind(f, name, NULL, 0, &kind));
    if (kind == KIND_JUNK)
        return 0;
    if (kind == KIND_IMAGE && !only_listed(f))
        return member_add(f, r, name, size, b);
    n = reader_head(r, head, sizeof head);
    TRY(n);
    TRY(folder_kind(f, name, head, (size_t)n, &kind));
    return kind == KIND_IMAGE ? folder_add(f, name, head, (size_t)n) : folder_pass_over(f, name);
}

static int members_add(struct folder *f, struct reader *r, struct blob *b)
{
    const char *name;
    size_t size;
    int more;

    reader_directories(r);
    while ((more = reader_next(r, &name, &size)) == 1)
        TRY(member_take(f, r, name, size, b));
    return more;
}

static int archive_add(struct folder *f)
{
    struct blob b = {0};
    struct reader *r;
    int code;

    TRY(reader_open(&r, f->src->path));
    code = members_add(f, r, &b);
    blob_release(&b);
    reader_close(r);
    return code;
}

static int file_add(struct folder *f, const char *path, const char *relative)
{
    enum folder_kind kind = KIND_JUNK;
    struct blob b;
    int code;

    TRY(blob_map(&b, path));
    code = folder_kind(f, relative, b.bytes, b.n, &kind);
    if (code == 0 && kind == KIND_OTHER)
        code = folder_pass_over(f, relative);
    else if (code == 0 && kind == KIND_IMAGE)
        code = b.n <= FILE_MAX
                   ? folder_add(f, relative, b.bytes, b.n)
                   : err(ERR_DATA, "'%s' has %zu bytes, the limit is %d", path, b.n, FILE_MAX);
    code = blob_whole(&b) < 0 ? ERR_DATA : code;
    blob_release(&b);
    return code;
}

static int entry_add(struct folder *f, const FTSENT *e)
{
    const char *relative = e->fts_path + strlen(f->src->path);

    while (*relative == '/')
        relative++;
    if (e->fts_info == FTS_DNR || e->fts_info == FTS_ERR || e->fts_info == FTS_NS)
        return err(ERR_NOINPUT, "cannot read '%s': %s", e->fts_path, strerror(e->fts_errno));
    if (e->fts_info == FTS_DC)
        return err(ERR_DATA, "'%s' leads back to a folder above it", e->fts_path);
    if (e->fts_info == FTS_D)
        return e->fts_level > 0 ? folder_directory(f, relative) : 0;
    if (e->fts_info == FTS_DEFAULT)
        return folder_pass_over(f, relative);
    if (e->fts_info != FTS_F && e->fts_info != FTS_SLNONE)
        return 0;
    return file_add(f, e->fts_path, relative);
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
    return strcmp((*a)->fts_name, (*b)->fts_name);
}

static int directory_add(struct folder *f)
{
    char *paths[] = {f->src->path, NULL};
    FTS *tree = fts_open(paths, FTS_LOGICAL | FTS_NOCHDIR, by_name);
    FTSENT *e;
    int code = 0;

    if (!tree)
        return err(ERR_NOINPUT, "cannot read '%s': %s", f->src->path, strerror(errno));
    errno = 0;
    while (code == 0 && (e = fts_read(tree)))
        code = entry_add(f, e);
    if (code == 0 && errno != 0)
        code = err(ERR_NOINPUT, "cannot read '%s': %s", f->src->path, strerror(errno));
    fts_close(tree);
    return code;
}

/* Gives back the room for more images. */
static void pixels_trim(struct store *s)
{
    size_t n = s->n * shape_size(s->shape);
    uint8_t *bytes = realloc(s->pixels.bytes, n > 0 ? n : 1);

    if (bytes) {
        s->pixels.bytes = bytes;
        s->pixels.n = n;
    }
    s->u8 = s->pixels.bytes;
}

/* Whether the file itself is an image. */
static int is_image(const struct folder *f, const char *name, bool *image)
{
    enum folder_kind kind = KIND_OTHER;
    struct blob b;
    int code;

    TRY(blob_map(&b, f->src->path));
    code = folder_kind(f, name, b.bytes, b.n < HEAD ? b.n : HEAD, &kind);
    blob_release(&b);
    *image = kind == KIND_IMAGE;
    return code;
}

int folder_collect(struct folder *f)
{
    const char *path = f->src->path, *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    struct stat st;

    if (stat(path, &st) < 0)
        return err(ERR_NOINPUT, "cannot open '%s': %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return directory_add(f);
    if (f->taker)
        TRY(is_image(f, name, &f->single));
    return f->single ? file_add(f, path, name) : archive_add(f);
}

static int folder_load_whole(struct store *s, const struct store_source *src)
{
    struct folder f = {.src = src, .store = s};
    int code = folder_collect(&f);

    if (code == 0)
        code = folder_index(&f);
    folder_release(&f);
    if (code == 0)
        pixels_trim(s);
    return code;
}

struct folder_list {
    struct folder folder;
    struct store_source src; /* path: owned */
};

static void list_free(void *list)
{
    struct folder_list *l = list;

    folder_release(&l->folder);
    free(l->src.path);
    free(l);
}

static int folder_load_list(struct store *s, const struct store_source *src)
{
    struct folder_list *l = s->listing = calloc(1, sizeof *l);

    if (!l)
        return err(ERR_MEMORY, "out of memory for '%s'", src->path);
    s->listing_free = list_free;
    l->src = (struct store_source){.format = src->format, .framing = src->framing, .listed = true};
    l->src.path = strdup(src->path);
    l->folder = (struct folder){.src = &l->src, .store = s};
    if (!l->src.path)
        return err(ERR_MEMORY, "out of memory for '%s'", src->path);
    TRY(folder_collect(&l->folder));
    return folder_index(&l->folder);
}

static int folder_load(struct store *s, const struct store_source *src)
{
    return src->listed ? folder_load_list(s, src) : folder_load_whole(s, src);
}

struct folder_show {                /* a second look at the files of a list */
    const struct folder_list *list; /* borrowed */
    struct store one;               /* owned: its pixels, one image */
    struct images_each each;
    uint32_t n;
};

static bool wants_all(void *context)
{
    (void)context;
    return true;
}

static int image_show(void *context, const char *path)
{
    struct folder_show *show = context;
    char *copy = strdup(path);
    const struct item *item = copy ? folder_find(&show->list->folder, copy) : NULL;

    free(copy);
    if (!item)
        return err(ERR_DATA, "'%s' has changed while it was read: '%s' is new",
                   show->list->src.path, path);
    show->n++;
    return images_show(&show->each, (uint32_t)(item - show->list->folder.items),
                       show->one.pixels.bytes);
}

static int show_all(struct folder_show *show, const struct store *s)
{
    const struct folder_taker taker = {wants_all, image_show, show};
    struct store_source src = show->list->src;
    struct folder f = {.src = &src, .taker = &taker, .store = &show->one, .like = &s->shape};
    int code;

    src.listed = false;
    show->one.shape = s->shape;
    f.first = show->list->folder.first ? strdup(show->list->folder.first) : NULL;
    code = folder_collect(&f);
    folder_release(&f);
    if (code == 0 && show->n != s->n)
        return err(ERR_DATA, "'%s' has changed while it was read: of %u images %u are left",
                   s->path, s->n, show->n);
    return code;
}

static int folder_each(const struct data *d, data_visit *visit, void *context)
{
    const struct store *s = images_store(d);
    struct folder_show show = {.list = s->listing};
    int code;

    show.each = (struct images_each){.d = d, .visit = visit, .context = context};
    show.each.x = calloc(shape_size(d->shape), sizeof *show.each.x);
    code = show.each.x ? show_all(&show, s) : err(ERR_MEMORY, "out of memory for an image");
    blob_release(&show.one.pixels);
    free(show.each.x);
    return code;
}

static int folder_open(struct data *d, const struct data_config *c, const char *root)
{
    return images_open(d, c, root, LABELS_NONE, folder_load);
}

const struct data_ops data_folder = {
    .name = "folder",
    .summary = "PNG and JPEG files in class folders: a directory, .zip, .tar or .tar.gz",
    .open = folder_open,
    .class_size = images_class_size,
    .class_name = images_class_name,
    .read = images_read,
    .read_flat = images_read_flat,
    .label_flat = images_label_flat,
    .index_flat = images_index_flat,
    .note = images_note,
    .where = images_where,
    .reorder = images_reorder,
    .each = folder_each,
    .digest = images_digest,
    .survey = images_survey,
    .map = images_map,
    .close = images_close,
};
