/* idx.c - images and labels in two idx files, as MNIST has them; gzip or plain. */
#include "core/base/err.h"
#include "core/data/images.h"

static int idx_read(struct array *a, struct blob *b, const char *path)
{
    TRY(blob_map(b, path));
    TRY(blob_gunzip(b, path));
    return array_from_idx(a, b, path);
}

static int idx_load(struct store *s, const struct store_source *src)
{
    struct array a;
    struct blob b = {0};
    int code = idx_read(&a, &b, src->path);

    if (code == 0)
        code = store_set_images(s, &a, &b, src->path);
    code = blob_whole(&b) < 0 ? ERR_DATA : code;
    blob_release(&b);
    TRY(code);
    code = idx_read(&a, &b, src->labels);
    if (code == 0)
        code = store_set_labels(s, &a, src->labels);
    code = blob_whole(&b) < 0 ? ERR_DATA : code;
    blob_release(&b);
    return code;
}

static int idx_open(struct data *d, const struct data_config *c, const char *root)
{
    return images_open(d, c, root, LABELS_FILE, idx_load);
}

const struct data_ops data_idx = {
    .name = "idx",
    .summary = "images and labels as MNIST's idx files, plain or .gz",
    .open = idx_open,
    .class_size = images_class_size,
    .class_name = images_class_name,
    .read = images_read,
    .read_flat = images_read_flat,
    .label_flat = images_label_flat,
    .index_flat = images_index_flat,
    .note = images_note,
    .where = images_where,
    .reorder = images_reorder,
    .digest = images_digest,
    .survey = images_survey,
    .map = images_map,
    .close = images_close,
};
