/* array.c - headers of .npy (NEP 1) and idx (LeCun) files. */
#include "core/data/array.h"

#include <string.h>

#include "core/base/err.h"
#include "core/data/seems.h"

enum { NPY_HEADER_MAX = 1 << 16 };

struct cursor {
    const char *start, *at, *end;
};

static bool eat(struct cursor *c, const char *word)
{
    size_t n = strlen(word);

    while (c->at < c->end && (*c->at == ' ' || *c->at == '\n'))
        c->at++;
    if ((size_t)(c->end - c->at) < n || memcmp(c->at, word, n) != 0)
        return false;
    c->at += n;
    return true;
}

static bool eat_string(struct cursor *c, char *text, size_t n)
{
    const char *quote = eat(c, "'") ? "'" : eat(c, "\"") ? "\"" : NULL;
    size_t used = 0;

    if (!quote)
        return false;
    while (c->at < c->end && *c->at != *quote && used + 1 < n)
        text[used++] = *c->at++;
    text[used] = '\0';
    return eat(c, quote);
}

static bool eat_dimension(struct cursor *c, uint64_t *number)
{
    const char *first;

    eat(c, "");
    first = c->at;
    *number = 0;
    for (; c->at < c->end && *c->at >= '0' && *c->at <= '9'; c->at++)
        if (__builtin_mul_overflow(*number, 10u, number) ||
            __builtin_add_overflow(*number, (uint64_t)(*c->at - '0'), number))
            return false;
    return c->at > first;
}

static bool eat_shape(struct cursor *c, struct array *a)
{
    if (!eat(c, "("))
        return false;
    for (a->n_dims = 0; !eat(c, ")"); a->n_dims++) {
        uint64_t beyond;

        if (a->n_dims > 0 && !eat(c, ","))
            return false;
        if (a->n_dims > 0 && eat(c, ")"))
            return true;
        if (!eat_dimension(c, a->n_dims < ARRAY_DIMS_MAX ? &a->dims[a->n_dims] : &beyond))
            return false;
    }
    return true;
}

static bool parse_type(struct array *a, const char *type)
{
    if (strlen(type) != 3 || !strchr("<>|=", type[0]) || !strchr("uif", type[1]) ||
        !strchr("1248", type[2]))
        return false;
    a->kind = type[1];
    a->width = type[2] - '0';
    a->big = type[0] == '>' && a->width > 1;
    return !(type[0] == '|' && a->width > 1) && !(a->kind == 'f' && a->width < 4);
}

struct npy_header {
    char type[16];
    bool fortran, has_type, has_order, has_shape;
};

static bool eat_entry(struct cursor *c, struct array *a, struct npy_header *h)
{
    char key[16];

    if (!eat_string(c, key, sizeof key) || !eat(c, ":"))
        return false;
    if (strcmp(key, "descr") == 0 && !h->has_type) {
        h->has_type = true;
        if (!eat(c, "["))
            return eat_string(c, h->type, sizeof h->type);
        strcpy(h->type, "structure");
        while (c->at < c->end && *c->at != ']')
            c->at++;
        return eat(c, "]");
    }
    if (strcmp(key, "fortran_order") == 0 && !h->has_order) {
        h->has_order = true;
        h->fortran = eat(c, "True");
        return h->fortran || eat(c, "False");
    }
    if (strcmp(key, "shape") == 0 && !h->has_shape)
        return (h->has_shape = eat_shape(c, a));
    return false;
}

static bool parse_dict(struct cursor *c, struct array *a, struct npy_header *h)
{
    if (!eat(c, "{"))
        return false;
    while (!eat(c, "}"))
        if (!eat_entry(c, a, h) || (!eat(c, ",") && (c->at == c->end || *c->at != '}')))
            return false;
    eat(c, "");
    return c->at == c->end && h->has_type && h->has_order && h->has_shape;
}

/* Advice for numbers that are neither integers nor floats of 4 or 8 bytes. */
static const char *type_advice(const char *type)
{
    switch (type[strspn(type, "<>|=")]) {
    case 'b':
        return " (booleans); save 255 * x.astype(np.uint8) of images, y.astype(np.int64) of labels";
    case 'f':
        return " (floats of another width); save x.astype(np.float32)";
    case 'c':
        return " (complex numbers); save np.abs(x), or what else is real";
    case 'O':
        return " (Python objects); save an array of numbers, such as np.stack(list(x))";
    case 'S':
    case 'U':
        return " (text); save the numbers np.unique(y, return_inverse=True)[1] as labels";
    case 's':
        return " (records of several fields); save one of them, x['name']";
    default:
        return "";
    }
}

/* Checks that the numbers fill the blob exactly from byte `start` to its end. */
static int check_extent(struct array *a, const struct blob *b, size_t start, const char *what)
{
    uint64_t bytes = 0;
    bool over = false;

    a->n = 1;
    for (int i = 0; i < a->n_dims; i++)
        over |= __builtin_mul_overflow(a->n, a->dims[i], &a->n);
    over |= __builtin_mul_overflow(a->n, (uint64_t)a->width, &bytes);
    if (over || bytes > b->n - start)
        return err(ERR_DATA, "'%s' ends at byte %zu, before the end of the array its header states",
                   what, b->n);
    if (bytes < b->n - start)
        return err(ERR_DATA, "'%s' has more data after its array, from byte %zu", what,
                   start + (size_t)bytes);
    a->data = b->bytes + start;
    return 0;
}

/* Finds the start and the length of the header's text. */
static int npy_preamble(const struct blob *b, size_t *start, size_t *length, const char *what)
{
    const uint8_t *p = b->bytes;

    if (b->n < 6 || memcmp(p, "\x93NUMPY", 6) != 0)
        return err(ERR_DATA, "'%s' is not a .npy file%s", what, seems(p, b->n));
    if (b->n < 12)
        return err(ERR_DATA, "'%s' ends at byte %zu inside its header", what, b->n);
    if (p[6] < 1 || p[6] > 3)
        return err(ERR_DATA, "'%s' has .npy version %d, known are 1 to 3", what, p[6]);
    *start = p[6] == 1 ? 10 : 12;
    *length = (size_t)p[8] | (size_t)p[9] << 8;
    if (p[6] > 1)
        *length |= (size_t)p[10] << 16 | (size_t)p[11] << 24;
    if (*length > NPY_HEADER_MAX)
        return err(ERR_DATA, "'%s' states a header of %zu bytes, at most %d are read", what,
                   *length, NPY_HEADER_MAX);
    if (*length > b->n - *start)
        return err(ERR_DATA, "'%s' ends at byte %zu inside its header", what, b->n);
    return 0;
}

int array_from_npy(struct array *a, const struct blob *b, const char *what)
{
    struct npy_header h = {.has_type = false};
    struct cursor c;
    size_t start = 0, length = 0;

    *a = (struct array){0};
    TRY(npy_preamble(b, &start, &length, what));
    c.start = c.at = (const char *)b->bytes + start;
    c.end = c.start + length;
    if (!parse_dict(&c, a, &h))
        return err(ERR_DATA, "'%s' has a header that is not understood at byte %zu", what,
                   start + (size_t)(c.at - c.start));
    if (!parse_type(a, h.type))
        return err(ERR_DATA, "'%s' has elements of type '%s', not an integer or float type%s", what,
                   h.type, type_advice(h.type));
    if (h.fortran)
        return err(ERR_DATA, "'%s' is in Fortran order: save np.ascontiguousarray(x)", what);
    if (a->n_dims > ARRAY_DIMS_MAX)
        return err(ERR_DATA,
                   "'%s' has %d dimensions, images are [n, h, w] or [n, h, w, c], labels are [n]: "
                   "save x.reshape(...)",
                   what, a->n_dims);
    return check_extent(a, b, start + length, what);
}

int array_from_idx(struct array *a, const struct blob *b, const char *what)
{
    static const struct {
        uint8_t code;
        char kind;
        int width;
    } types[] = {{0x08, 'u', 1}, {0x09, 'i', 1}, {0x0b, 'i', 2},
                 {0x0c, 'i', 4}, {0x0d, 'f', 4}, {0x0e, 'f', 8}};
    const uint8_t *p = b->bytes;

    *a = (struct array){.big = true};
    if (b->n < 4)
        return err(ERR_DATA, "'%s' is not an idx file%s", what, seems(p, b->n));
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (types[i].code == p[2]) {
            a->kind = types[i].kind;
            a->width = types[i].width;
        }
    if (p[0] != 0 || p[1] != 0 || a->width == 0)
        return err(ERR_DATA, "'%s' is not an idx file%s", what, seems(p, b->n));
    a->n_dims = p[3];
    if (a->n_dims < 1 || a->n_dims > ARRAY_DIMS_MAX)
        return err(ERR_DATA, "'%s' has %d dimensions", what, a->n_dims);
    if (b->n < 4 + 4 * (size_t)a->n_dims)
        return err(ERR_DATA, "'%s' ends at byte %zu inside its idx header", what, b->n);
    for (int i = 0; i < 4 * a->n_dims; i++)
        a->dims[i / 4] = a->dims[i / 4] << 8 | p[4 + i];
    return check_extent(a, b, 4 + 4 * (size_t)a->n_dims, what);
}
