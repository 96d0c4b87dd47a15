/* npy.c - images and labels in two .npy files. Images of bytes stay mapped, so that the ranks of a
 * node share them. */
#include "core/base/err.h"
#include "core/data/images.h"

static int labels_load(struct store *s, const char *path)
{
    struct array a;
    struct blob b;
    int code;

    TRY(blob_map(&b, path));
    code = array_from_npy(&a, &b, path);
    if (code == 0)
        code = store_set_labels(s, &a, path);
    code = blob_whole(&b) < 0 ? ERR_DATA : code;
    blob_release(&b);
    return code;
}

static int npy_load(struct store *s, const struct store_source *src)
{
    struct array a;
    struct blob b;
    int code;

    TRY(blob_map(&b, src->path));
    code = array_from_npy(&a, &b, src->path);
    if (code == 0)
        code = store_set_images(s, &a, &b, src->path);
    code = blob_whole(&b) < 0 ? ERR_DATA : code;
    blob_release(&b);
    TRY(code);
    return labels_load(s, src->labels);
}

static int npy_open(struct data *d, const struct data_config *c, const char *root)
{
    return images_open(d, c, root, LABELS_FILE, npy_load);
}

const struct data_ops data_npy = {
    .name = "npy",
    .summary = "images [n, h, w] or [n, h, w, c] and labels [n], one .npy file each",
    .open = npy_open,
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
