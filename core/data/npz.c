/* npz.c - images and labels as two members of a .npz archive; path = "set.npz:x_train" and labels =
 * "y_train" name others than `images` and `labels`. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/base/err.h"
#include "core/data/archive.h"
#include "core/data/images.h"

enum { OTHERS = 256 }; /* bytes of a list of names */

struct member {
    char name[256];  /* with .npy */
    char what[1024]; /* for errors: archive:member */
    struct blob blob;
    bool found;
};

/* Cuts path at the last ':' behind which a member is named, if no file has the whole name. */
static const char *path_split(char *path)
{
    char *colon = strrchr(path, ':');

    if (!colon || strchr(colon, '/') || !colon[1] || access(path, F_OK) == 0)
        return "images";
    *colon = '\0';
    return colon + 1;
}

static void member_init(struct member *m, const char *path, const char *name)
{
    *m = (struct member){.found = false};
    snprintf(m->name, sizeof m->name, "%s.npy", name);
    snprintf(m->what, sizeof m->what, "%s:%s", path, name);
}

static int member_read(struct reader *r, struct member *m, size_t size)
{
    if (m->found)
        return err(ERR_DATA, "'%s' is there twice", m->what);
    m->found = true;
    TRY(blob_alloc(&m->blob, size));
    return reader_read(r, m->blob.bytes, size);
}

/* "x_train, y_train": the members that there are, as many as fit. */
static void others_add(char *others, const char *name)
{
    size_t used = strlen(others), n = strlen(name);

    n -= n > 4 && strcmp(name + n - 4, ".npy") == 0 ? 4 : 0;
    if (used + n + 3 < OTHERS)
        snprintf(others + used, OTHERS - used, "%s%.*s", used > 0 ? ", " : "", (int)n, name);
}

static int members_read(struct reader *r, struct member *m, int n_members)
{
    char others[OTHERS] = "";
    const char *name;
    size_t size;
    int more;

    while ((more = reader_next(r, &name, &size)) == 1) {
        others_add(others, name);
        for (int i = 0; i < n_members; i++)
            if (strcmp(name, m[i].name) == 0)
                TRY(member_read(r, &m[i], size));
    }
    TRY(more);
    for (int i = 0; i < n_members; i++)
        if (!m[i].found)
            return err(ERR_DATA,
                       "'%s' is not there; there is %s: set path = \"FILE.npz:NAME\" and labels = "
                       "\"NAME\"",
                       m[i].what, *others ? others : "nothing");
    return 0;
}

static int members_take(struct store *s, const char *path, struct member m[2])
{
    struct reader *r;
    struct array a;
    int code;

    TRY(reader_open(&r, path));
    code = members_read(r, m, 2);
    reader_close(r);
    TRY(code);
    TRY(array_from_npy(&a, &m[0].blob, m[0].what));
    TRY(store_set_images(s, &a, &m[0].blob, m[0].what));
    TRY(array_from_npy(&a, &m[1].blob, m[1].what));
    return store_set_labels(s, &a, m[1].what);
}

static int npz_load(struct store *s, const struct store_source *src)
{
    char *path = strdup(src->path);
    struct member m[2];
    const char *images;
    int code;

    if (!path)
        return err(ERR_MEMORY, "out of memory for '%s'", src->path);
    images = path_split(path);
    member_init(&m[0], path, images);
    member_init(&m[1], path, src->labels ? src->labels : "labels");
    code = strcmp(m[0].name, m[1].name) != 0
               ? members_take(s, path, m)
               : err(ERR_CONFIG, "'%s' cannot be both images and labels", m[0].what);
    blob_release(&m[0].blob);
    blob_release(&m[1].blob);
    free(path);
    return code;
}

static int npz_open(struct data *d, const struct data_config *c, const char *root)
{
    return images_open(d, c, root, LABELS_MEMBER, npz_load);
}

const struct data_ops data_npz = {
    .name = "npz",
    .summary = "images and labels as members of a NumPy archive",
    .open = npz_open,
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
