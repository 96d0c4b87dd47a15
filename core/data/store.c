/* store.c - the list of open stores, and the framing that follows loading. */
#include "core/data/store.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/err.h"

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct store *stores; /* under lock */

static void store_free(struct store *s)
{
    if (s->listing)
        s->listing_free(s->listing);
    blob_release(&s->pixels);
    names_release(&s->names);
    names_release(&s->goals);
    free(s->labels);
    free(s->targets);
    free(s->at);
    free(s->empty);
    free(s->note);
    free(s->path);
    free(s->key);
    free(s);
}

/* A key of format, options and file identity: a file that was replaced is a different one. */
static char *store_key(const struct store_source *src)
{
    struct stat a = {0}, b = {0};
    char *key;
    int n;

    stat(src->path, &a);
    if (src->labels)
        stat(src->labels, &b);
    n = asprintf(&key, "%s|%s|%s|%s|%d.%d.%d.%d.%d|%ju:%ju:%ju:%ju.%09ld|%ju:%ju:%ju:%ju.%09ld",
                 src->format, src->path, src->labels ? src->labels : "",
                 src->options ? src->options : "", src->framing.side, src->framing.crop,
                 src->framing.channels, src->framing.background, src->listed, (uintmax_t)a.st_dev,
                 (uintmax_t)a.st_ino, (uintmax_t)a.st_size, (uintmax_t)a.st_mtim.tv_sec,
                 a.st_mtim.tv_nsec, (uintmax_t)b.st_dev, (uintmax_t)b.st_ino, (uintmax_t)b.st_size,
                 (uintmax_t)b.st_mtim.tv_sec, b.st_mtim.tv_nsec);
    return n < 0 ? NULL : key;
}

void store_note(struct store *s, const char *fmt, ...)
{
    va_list args;

    if (s->note)
        return;
    va_start(args, fmt);
    if (vasprintf(&s->note, fmt, args) < 0)
        s->note = NULL;
    va_end(args);
}

static int framing_into(struct blob *to, const struct store *s, const struct framing *f)
{
    size_t from_size = shape_size(s->shape), to_size = shape_size(framing_shape(f, s->shape));

    if (s->n > DATA_BYTES_MAX / sizeof(float) / to_size)
        return err(ERR_CONFIG, "resize '%d' makes more than %zu bytes of %u images", f->side,
                   DATA_BYTES_MAX, s->n);
    TRY(blob_alloc(to, s->n * to_size * (s->u8 ? 1 : sizeof(float))));
    for (uint32_t i = 0; i < s->n; i++) {
        if (s->u8)
            TRY(framing_bytes(f, s->u8 + i * from_size, s->shape, to->bytes + i * to_size));
        else
            TRY(framing_floats(f, s->f32 + i * from_size, s->shape,
                               (float *)(void *)to->bytes + i * to_size));
    }
    return 0;
}

static bool same_shape(struct shape a, struct shape b)
{
    return a.h == b.h && a.w == b.w && a.c == b.c;
}

static int store_framing(struct store *s, const struct framing *f)
{
    struct shape shape = framing_shape(f, s->shape);
    struct blob to = {0};
    int code;

    if (same_shape(shape, s->shape))
        return 0;
    if (f->channels && s->shape.c > 4)
        return err(ERR_CONFIG, "'%s' has images of %d channels, 'channels' can be set for 1 to 4",
                   s->path, s->shape.c);
    code = framing_into(&to, s, f);
    if (code < 0) {
        blob_release(&to);
        return code;
    }
    blob_release(&s->pixels);
    s->pixels = to;
    s->shape = shape;
    if (s->u8)
        s->u8 = to.bytes;
    else
        s->f32 = (const float *)(void *)to.bytes;
    return 0;
}

void sizes_add(struct sizes *z, struct shape s)
{
    bool first = z->grey + z->colour == 0;

    z->h[0] = first || s.h < z->h[0] ? s.h : z->h[0];
    z->h[1] = s.h > z->h[1] ? s.h : z->h[1];
    z->w[0] = first || s.w < z->w[0] ? s.w : z->w[0];
    z->w[1] = s.w > z->w[1] ? s.w : z->w[1];
    z->grey += s.c <= 2;
    z->colour += s.c > 2;
}

/* An array's images are all alike: loaders of arrays count nothing. */
static void sizes_fill(struct store *s)
{
    if (s->sizes.grey + s->sizes.colour > 0 || s->n == 0)
        return;
    sizes_add(&s->sizes, s->shape);
    *(s->sizes.grey ? &s->sizes.grey : &s->sizes.colour) = s->n;
}

static int store_fill(struct store *s, const struct store_source *src, store_load *load)
{
    TRY(load(s, src));
    if (s->listing)
        return 0;
    sizes_fill(s);
    TRY(store_framing(s, &src->framing));
    return blob_whole(&s->pixels);
}

static int store_new(struct store **out, char *key, const struct store_source *src,
                     store_load *load)
{
    struct store *s = calloc(1, sizeof *s);
    int code;

    if (!s) {
        free(key);
        return err(ERR_MEMORY, "out of memory for '%s'", src->path);
    }
    s->key = key;
    s->path = strdup(src->path);
    s->n_users = 1;
    code = store_fill(s, src, load);
    if (code < 0) {
        store_free(s);
        return code;
    }
    s->next = stores;
    stores = s;
    *out = s;
    return 0;
}

int store_take(struct store **out, const struct store_source *src, store_load *load)
{
    char *key = store_key(src);
    struct store *s;
    int code = 0;

    if (!key)
        return err(ERR_MEMORY, "out of memory for '%s'", src->path);
    pthread_mutex_lock(&lock);
    for (s = stores; s && strcmp(s->key, key) != 0; s = s->next)
        ;
    if (s) {
        s->n_users++;
        *out = s;
        free(key);
    } else {
        code = store_new(out, key, src, load);
    }
    pthread_mutex_unlock(&lock);
    return code;
}

void store_give(struct store *s)
{
    struct store **at = &stores;

    pthread_mutex_lock(&lock);
    if (--s->n_users == 0) {
        while (*at != s)
            at = &(*at)->next;
        *at = s->next;
        store_free(s);
    }
    pthread_mutex_unlock(&lock);
}

void store_sizes(size_t *held, size_t *mapped)
{
    *held = *mapped = 0;
    pthread_mutex_lock(&lock);
    for (const struct store *s = stores; s; s = s->next) {
        *(s->pixels.map ? mapped : held) += s->pixels.n;
        *held += s->n * (sizeof *s->labels + (size_t)s->n_target * sizeof *s->targets +
                         (s->at ? sizeof *s->at : 0));
    }
    pthread_mutex_unlock(&lock);
}
