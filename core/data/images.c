/* images.c - a data set's view of a store: which images, under which names, with which changes. */
#include "core/data/images.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/config/config.h"
#include "core/data/shift.h"
#include "core/data/survey.h"
#include "core/data/view.h"

struct images {
    struct store *store;    /* taken */
    struct names names;     /* owned; n = 0 if the store has names */
    struct choice choice;   /* what the view was made from */
    struct store_view view; /* owned */
    uint32_t *selected;     /* owned; class of the store by class id; NULL: all as they are */
    char *note;             /* owned; in place of the store's, or NULL */
    int margin;
    struct shift shift;
};

static bool is_given(const char *text)
{
    return text && *text;
}

/* Adds a list's items, each behind a byte that no key holds. */
static char *options_add(char *text, const struct strings *list)
{
    for (int i = 0; text && i < list->n; i++) {
        char *more;

        if (asprintf(&more, "%s\x1f%s", text, list->items[i]) < 0)
            more = NULL;
        free(text);
        text = more;
    }
    return text;
}

/* The keys of a table, which decide what is loaded; owned by the caller; NULL: no memory. */
static char *options_text(const struct data_config *c)
{
    char *text;

    if (asprintf(&text, "%s\x1e%s\x1e%s\x1e%s\x1e%s\x1e%jd\x1e", c->label ? c->label : "",
                 c->weight ? c->weight : "", c->task ? c->task : "", c->time ? c->time : "",
                 c->missing ? c->missing : "", (intmax_t)c->window) < 0)
        return NULL;
    text = options_add(text, &c->inputs);
    text = options_add(text, &(struct strings){1, &(char *){"\x1e"}});
    return options_add(text, &c->targets);
}

static int source_set(struct store_source *src, const struct data_config *c, const char *root,
                      enum images_labels labels)
{
    if (!is_given(c->path))
        return err(ERR_CONFIG, "format '%s' needs the key 'path'", c->format);
    if (labels == LABELS_FILE && !is_given(c->labels))
        return err(ERR_CONFIG, "format '%s' needs the key 'labels'", c->format);
    if (labels == LABELS_NONE && is_given(c->labels))
        return err(ERR_CONFIG, "format '%s' does not use the key 'labels'", c->format);
    TRY(framing_set(&src->framing, c));
    src->format = c->format;
    src->config = c;
    src->root = root;
    src->options = options_text(c);
    src->path = path_join(root, c->path);
    if (is_given(c->labels))
        src->labels = path_join(labels == LABELS_FILE ? root : "", c->labels);
    if (!src->path || !src->options || (is_given(c->labels) && !src->labels))
        return err(ERR_MEMORY, "out of memory for a path");
    return 0;
}

static int names_set(struct images *m, struct data *d, const char *file, const char *root)
{
    char *path;
    int code;

    d->named = is_given(file) || m->store->names.n > 0;
    if (!is_given(file))
        return m->store->names.n > 0 ? 0 : names_number(&m->names, m->store->n_classes);
    if (m->store->names.n > 0)
        return err(ERR_CONFIG, "folders name the classes, so the key 'names' cannot be used");
    path = path_join(root, file);
    code = path ? names_read(&m->names, path) : err(ERR_MEMORY, "out of memory for a path");
    if (code == 0)
        code = names_check_all(&m->names, path);
    if (code == 0 && m->names.n < m->store->n_classes)
        code = err(ERR_DATA, "'%s' names %u class%s, labels go up to %u: add a line for each", path,
                   m->names.n, plural_es(m->names.n), m->store->n_classes - 1);
    free(path);
    return code;
}

static const struct names *images_names(const struct images *m)
{
    return m->names.n > 0 ? &m->names : &m->store->names;
}

static int classes_select(struct images *m, const struct strings *lists, const char *root,
                          uint32_t **selected, uint32_t *n_selected)
{
    const struct names *names = images_names(m);
    uint32_t *first;
    int code;

    *n_selected = names->n;
    if (lists->n == 0)
        return 0;
    TRY(store_count(m->store, names->n, &first));
    code = names_select(names, first, lists, root, selected, n_selected);
    free(first);
    return code;
}

static int note_left(struct images *m, uint32_t n, const char *name, uint32_t least)
{
    const char *other = m->store->note;

    if (asprintf(&m->note, "%u class%s with fewer than %u samples left out (the first is '%s')%s%s",
                 n, plural_es(n), least, name, other ? "; " : "", other ? other : "") < 0)
        m->note = NULL;
    return m->note ? 0 : err(ERR_MEMORY, "out of memory for a note");
}

/* Leaves out the classes of fewer than `least` images. */
static int classes_least(struct images *m, struct data *d, uint32_t least)
{
    uint32_t *first, *kept = calloc((size_t)d->n_classes + 1, sizeof *kept), n = 0, left = 0;
    const char *left_name = NULL;
    int code = kept ? store_count(m->store, images_names(m)->n, &first)
                    : err(ERR_MEMORY, "out of memory for %u classes", d->n_classes);

    for (uint32_t i = 0; i < d->n_classes && code == 0; i++) {
        uint32_t k = m->selected ? m->selected[i] : i;

        if (first[k + 1] - first[k] >= least)
            kept[n++] = k;
        else if (left++ == 0)
            left_name = images_names(m)->items[k];
    }
    if (code < 0) {
        free(kept);
        return code;
    }
    free(first);
    free(m->selected);
    m->selected = kept;
    d->n_classes = n;
    if (n == 0)
        return err(ERR_CONFIG, "no class has %u samples, which the key 'least' asks for", least);
    return left > 0 ? note_left(m, left, left_name, least) : 0;
}

static int classes_set(struct images *m, struct data *d, const struct data_config *c,
                       const char *root)
{
    struct choice choice = {.subset = (uint32_t)c->subset, .seed = (uint64_t)c->seed};

    TRY(classes_select(m, &c->classes, root, &m->selected, &d->n_classes));
    if (c->least > 0)
        TRY(classes_least(m, d, (uint32_t)c->least));
    if (c->first < 0 || c->first > d->n_classes)
        return err(ERR_CONFIG, "first is %jd, but there are %u classes", (intmax_t)c->first,
                   d->n_classes);
    if (c->subset < 0 || c->subset > m->store->n)
        return err(ERR_CONFIG, "subset is %jd, but there are %u images", (intmax_t)c->subset,
                   m->store->n);
    d->n_classes = c->first > 0 ? (uint32_t)c->first : d->n_classes;
    choice.selected = m->selected;
    choice.n_classes = d->n_classes;
    m->choice = choice;
    TRY(view_init(&m->view, m->store, &choice));
    d->n_samples = m->view.n;
    return 0;
}

static int margin_set(struct images *m, struct data *d, int64_t margin)
{
    struct shape s = m->store->shape;

    if (margin == 0) {
        d->shape = s;
        return 0;
    }
    if (margin < 0 || margin > SIDE_MAX / 2 || s.h + 2 * margin > SIDE_MAX ||
        s.w + 2 * margin > SIDE_MAX)
        return err(ERR_CONFIG,
                   "margin '%jd' around images of %d x %d pixels, the limit is %d per side",
                   (intmax_t)margin, s.h, s.w, SIDE_MAX);
    m->margin = (int)margin;
    d->shape = raster_shape(&(struct raster){.inner = s, .margin = m->margin});
    return 0;
}

static int images_fill(struct data *d, const struct data_config *c, const char *root,
                       const struct store_source *src, store_load *load)
{
    struct images *m = d->state;

    TRY(shift_set(&m->shift, c));
    TRY(store_take(&m->store, src, load));
    if (m->store->empty && c->classes.n == 0)
        return err(ERR_DATA,
                   "'%s': class '%s' holds no image: remove the folder, or select classes with "
                   "'classes'",
                   src->path, m->store->empty);
    TRY(margin_set(m, d, c->margin));
    d->weighted = m->store->weighted;
    d->n_target = m->store->n_target - d->weighted;
    d->columns = m->store->columns;
    TRY(names_set(m, d, c->names, root));
    return classes_set(m, d, c, root);
}

int images_open(struct data *d, const struct data_config *c, const char *root,
                enum images_labels labels, store_load *load)
{
    struct store_source src = {0};
    int code;

    src.listed = d->streamed;
    d->state = calloc(1, sizeof(struct images)); /* data_close frees it, also after an error */
    if (!d->state)
        return err(ERR_MEMORY, "out of memory for a data set");
    code = source_set(&src, c, root, labels);
    if (code == 0)
        code = images_fill(d, c, root, &src, load);
    free(src.path);
    free(src.labels);
    free(src.options);
    return code;
}

static uint32_t store_class(const struct data *d, uint32_t class_id)
{
    const struct images *m = d->state;

    return m->selected ? m->selected[class_id] : class_id;
}

uint32_t images_class_size(const struct data *d, uint32_t class_id)
{
    const struct store_view *v = &((const struct images *)d->state)->view;

    return v->first[class_id + 1] - v->first[class_id];
}

void images_class_name(const struct data *d, uint32_t class_id, char *name, size_t n)
{
    snprintf(name, n, "%s", images_names(d->state)->items[store_class(d, class_id)]);
}

int images_read_flat(const struct data *d, uint32_t index, real *x)
{
    const struct images *m = d->state;
    const struct store *s = m->store;
    uint32_t image = view_image(&m->view, index);
    size_t at = (s->at ? s->at[image] : image) * store_stride(s);
    struct raster r = {.u8 = s->u8 ? s->u8 + at : NULL,
                       .f32 = s->u8 ? NULL : s->f32 + at,
                       .inner = s->shape,
                       .margin = m->margin};

    assert(!s->listing); /* data_each reads it */
    shift_read(&m->shift, &r, 0, image, x);
    return blob_whole(&s->pixels);
}

struct store *images_store(const struct data *d)
{
    return ((const struct images *)d->state)->store;
}

int images_show(void *context, uint32_t image, const uint8_t *pixels)
{
    const struct images_each *e = context;
    const struct images *m = e->d->state;
    struct raster r = {.u8 = pixels, .inner = m->store->shape, .margin = m->margin};
    uint32_t index;

    if (!view_find(&m->view, image, &index))
        return 0;
    shift_read(&m->shift, &r, 0, image, e->x);
    return e->visit(e->context, index, e->x);
}

uint32_t images_index_flat(const struct data *d, uint32_t class_id, uint32_t sample)
{
    const struct store_view *v = &((const struct images *)d->state)->view;

    return v->order[v->first[class_id] + sample];
}

int images_read(const struct data *d, uint32_t class_id, uint32_t sample, real *x, real *target)
{
    uint32_t index = images_index_flat(d, class_id, sample);

    if (target)
        images_target_flat(d, index, target);
    return images_read_flat(d, index, x);
}

static const float *targets_of(const struct images *m, uint32_t index)
{
    return m->store->targets + (size_t)view_image(&m->view, index) * (size_t)m->store->n_target;
}

real images_weight_flat(const struct data *d, uint32_t index)
{
    return targets_of(d->state, index)[d->n_target];
}

real images_weight(const struct data *d, uint32_t class_id, uint32_t sample)
{
    const struct store_view *v = &((const struct images *)d->state)->view;

    return images_weight_flat(d, v->order[v->first[class_id] + sample]);
}

const char *images_target_name(const struct data *d, int i)
{
    const struct names *goals = &((const struct images *)d->state)->store->goals;

    return i >= 0 && (uint32_t)i < goals->n ? goals->items[i] : NULL;
}

void images_target_flat(const struct data *d, uint32_t index, real *target)
{
    const float *from = targets_of(d->state, index);

    for (int i = 0; i < d->n_target; i++)
        target[i] = from[i];
}

uint32_t images_label_flat(const struct data *d, uint32_t index)
{
    const struct images *m = d->state;

    return view_class(&m->view, m->store->labels[view_image(&m->view, index)]);
}

const char *images_note(const struct data *d)
{
    const struct images *m = d->state;

    return m->note ? m->note : m->store->note;
}

void images_where(const struct data *d, uint32_t index, char *text, size_t n)
{
    const struct images *m = d->state;

    snprintf(text, n, "'%s' image %u", m->store->path ? m->store->path : "",
             view_image(&m->view, index));
}

int images_reorder(struct data *d, const uint32_t *order)
{
    struct images *m = d->state;
    uint32_t n = d->turned_classes ? d->n_classes / 4 : d->n_classes,
             *selected = calloc((size_t)n + 1, sizeof *selected);

    if (!selected)
        return err(ERR_MEMORY, "out of memory for %u classes", n);
    for (uint32_t i = 0; i < n; i++)
        selected[i] = m->selected ? m->selected[order[i]] : order[i];
    free(m->selected);
    m->selected = selected;
    m->choice.selected = selected;
    view_release(&m->view);
    return view_init(&m->view, m->store, &m->choice);
}

/* n numbers of 0 to 1 as bytes; what is not finite is 0. */
static void bytes_of(const float *from, size_t n, uint8_t *to)
{
    for (size_t i = 0; i < n; i++)
        to[i] = from[i] > 0 && from[i] <= 1 ? (uint8_t)(from[i] * 255 + 0.5F) : 0;
}

int images_digest(const struct data *d, uint32_t index, uint64_t *digest)
{
    const struct images *m = d->state;
    const struct store *s = m->store;
    uint32_t image = view_image(&m->view, index);
    size_t size = shape_size(s->shape), at = (s->at ? s->at[image] : image) * store_stride(s);
    uint8_t bytes[4096];

    *digest = size;
    for (size_t i = 0; i < size; i += sizeof bytes) {
        size_t n = size - i < sizeof bytes ? size - i : sizeof bytes;

        if (!s->u8)
            bytes_of(s->f32 + at + i, n, bytes);
        *digest = XXH3_64bits_withSeed(s->u8 ? s->u8 + at + i : bytes, n, *digest);
    }
    return blob_whole(&s->pixels);
}

int images_survey(const struct data *d, struct survey *s)
{
    const struct images *m = d->state;

    s->labels = view_labels(&m->view, m->store);
    TRY(view_pixels(&m->view, m->store, s));
    s->pixels = shift_digest(&m->shift, s->pixels + (uint64_t)m->margin);
    return blob_whole(&m->store->pixels);
}

struct mapped *images_map(const struct data *d)
{
    return ((const struct images *)d->state)->store->pixels.map;
}

void images_close(struct data *d)
{
    struct images *m = d->state;

    if (m->store)
        store_give(m->store);
    names_release(&m->names);
    view_release(&m->view);
    free(m->selected);
    free(m->note);
    free(m);
}
