/* names.c - reading lists of class names, and selecting classes by them. */
#include "core/data/names.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/nearest.h"
#include "core/base/plural.h"
#include "core/data/blob.h"

enum { TEXT_MAX = 4 << 20 };

static uint32_t lines_count(const struct blob *b)
{
    uint32_t n = b->n > 0 && b->bytes[b->n - 1] != '\n';

    for (size_t i = 0; i < b->n; i++)
        n += b->bytes[i] == '\n';
    return n;
}

static int encoding_check(const struct blob *b, const char *path)
{
    const uint8_t *p = b->bytes;

    if (b->n >= 2 && ((p[0] == 0xff && p[1] == 0xfe) || (p[0] == 0xfe && p[1] == 0xff)))
        return err(ERR_DATA, "'%s' is UTF-16: save it as UTF-8 (iconv -f UTF-16 -t UTF-8)", path);
    for (size_t i = 0; i + 1 < b->n; i++)
        if (p[i] == '\r' && p[i + 1] != '\n' && p[i + 1] != '\r')
            return err(ERR_DATA,
                       "'%s' has a carriage return inside a line, at byte %zu: end lines with line "
                       "feeds",
                       path, i);
    return 0;
}

static int text_check(const struct blob *b, const char *path)
{
    uint32_t line = 1;

    if (b->n > TEXT_MAX)
        return err(ERR_DATA, "'%s' has %zu bytes, a list of class names has at most %d", path, b->n,
                   TEXT_MAX);
    TRY(encoding_check(b, path));
    for (size_t i = 0; i < b->n; i++) {
        uint8_t c = b->bytes[i];

        if (c < ' ' && c != '\n' && c != '\r' && c != '\t')
            return err(ERR_DATA, "'%s' line %u: byte %zu is not text", path, line, i);
        line += c == '\n';
    }
    return 0;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Cuts text into lines without the spaces around them. */
static void lines_split(struct names *v)
{
    char *at = v->text;

    for (uint32_t i = 0; i < v->n; i++) {
        char *end = at + strcspn(at, "\n"), *next = end + (*end != '\0');

        while (at < end && is_space(*at))
            at++;
        while (end > at && is_space(end[-1]))
            end--;
        *end = '\0';
        v->items[i] = at;
        at = next;
    }
}

static int names_from(struct names *v, const struct blob *b, const char *path)
{
    TRY(text_check(b, path));
    v->n = lines_count(b);
    if (v->n == 0 || v->n > LABEL_MAX)
        return err(ERR_DATA, "'%s' has %u line%s, a list of classes has 1 to %u", path, v->n,
                   plural(v->n), LABEL_MAX);
    v->items = calloc(v->n, sizeof *v->items);
    v->text = calloc(b->n + 1, 1);
    if (!v->items || !v->text)
        return err(ERR_MEMORY, "out of memory for the names of '%s'", path);
    memcpy(v->text, b->bytes, b->n);
    if (b->n >= 3 && memcmp(b->bytes, "\xef\xbb\xbf", 3) == 0) /* a byte-order mark */
        memset(v->text, ' ', 3);
    lines_split(v);
    return 0;
}

int names_read(struct names *v, const char *path)
{
    struct blob b;
    int code;

    *v = (struct names){0};
    TRY(blob_map(&b, path));
    code = names_from(v, &b, path);
    code = blob_whole(&b) < 0 ? ERR_DATA : code;
    blob_release(&b);
    if (code < 0)
        names_release(v);
    return code;
}

static int place_compare(const void *a, const void *b)
{
    char *const *x = *(char *const *const *)a, *const *y = *(char *const *const *)b;
    int order = strcmp(*x, *y);

    return order ? order : (x > y) - (x < y);
}

static int check_once(const struct names *v, const char *path)
{
    char ***places = calloc(v->n, sizeof *places), *const *again = NULL;

    if (!places)
        return err(ERR_MEMORY, "out of memory for the names of '%s'", path);
    for (uint32_t i = 0; i < v->n; i++)
        places[i] = &v->items[i];
    qsort(places, v->n, sizeof *places, place_compare);
    for (uint32_t i = 1; i < v->n; i++)
        if (strcmp(*places[i - 1], *places[i]) == 0 && (!again || places[i] < again))
            again = places[i];
    free(places);
    if (!again)
        return 0;
    return err(ERR_DATA, "'%s' line %td: an earlier class already has the name '%s'", path,
               again - v->items + 1, *again);
}

int names_check_all(struct names *v, const char *path)
{
    while (v->n > 1 && !*v->items[v->n - 1])
        v->n--;
    for (uint32_t i = 0; i < v->n; i++)
        if (!*v->items[i])
            return err(ERR_DATA, "'%s' line %u names no class", path, i + 1);
    return check_once(v, path);
}

int names_number(struct names *v, uint32_t n)
{
    enum { WIDTH = 11 };

    *v = (struct names){.n = n, .items = calloc(n, sizeof *v->items), .text = calloc(n, WIDTH)};
    if (!v->items || !v->text) {
        names_release(v);
        return err(ERR_MEMORY, "out of memory for %u class names", n);
    }
    for (uint32_t i = 0; i < n; i++) {
        v->items[i] = v->text + (size_t)i * WIDTH;
        snprintf(v->items[i], WIDTH, "%u", i);
    }
    return 0;
}

void names_release(struct names *v)
{
    free(v->items);
    free(v->text);
    free(v->above);
    *v = (struct names){0};
}

/* The number of bytes, up to and including a "/", in which a and b agree. */
static size_t folders_shared(const char *a, const char *b, size_t most)
{
    size_t shared = 0;

    for (size_t i = 0; i < most && a[i] && a[i] == b[i]; i++)
        if (a[i] == '/')
            shared = i + 1;
    return shared;
}

int names_shorten(struct names *v)
{
    const char *slash = v->n > 0 ? strrchr(v->items[0], '/') : NULL;
    size_t n = slash ? (size_t)(slash + 1 - v->items[0]) : 0;

    for (uint32_t i = 1; i < v->n; i++)
        n = folders_shared(v->items[0], v->items[i], n);
    if (n == 0)
        return 0;
    v->above = strndup(v->items[0], n);
    if (!v->above)
        return err(ERR_MEMORY, "out of memory for a path");
    for (uint32_t i = 0; i < v->n; i++)
        v->items[i] += n;
    return 0;
}

char *path_join(const char *root, const char *path)
{
    bool whole = path[0] == '/' || !root || !*root;
    char *joined;

    return asprintf(&joined, "%s%s%s", whole ? "" : root, whole ? "" : "/", path) < 0 ? NULL
                                                                                      : joined;
}

struct selection {
    const struct names *all;
    const uint32_t *first;
    uint32_t *by_end; /* owned; all classes, by their names read backwards */
    bool *taken;
    uint32_t *chosen, n;
};

struct ending { /* of a name: the whole of it, or what follows a '/' */
    const char *text;
    size_t n;
    bool tail;
};

/* Backwards; 0: name has that ending. */
static int ending_compare(const char *name, const struct ending *e)
{
    size_t length = strlen(name), n = e->n + e->tail;

    for (size_t i = 0; i < n && i < length; i++) {
        int wanted = i < e->n ? (unsigned char)e->text[e->n - 1 - i] : '/';
        int order = (unsigned char)name[length - 1 - i] - wanted;

        if (order != 0)
            return order;
    }
    if (length < n)
        return -1;
    return !e->tail && length > n;
}

static int by_end_compare(const void *a, const void *b, void *all)
{
    char **items = all;
    const char *name = items[*(const uint32_t *)b];

    return ending_compare(items[*(const uint32_t *)a], &(struct ending){name, strlen(name), false});
}

static void by_end_sort(struct selection *s)
{
    for (uint32_t i = 0; i < s->all->n; i++)
        s->by_end[i] = i;
    qsort_r(s->by_end, s->all->n, sizeof *s->by_end, by_end_compare, s->all->items);
}

/* The first place in by_end that compares to e as `least` or above. */
static uint32_t ending_bound(const struct selection *s, const struct ending *e, int least)
{
    uint32_t low = 0, high = s->all->n;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (ending_compare(s->all->items[s->by_end[middle]], e) >= least)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

/* The number of classes with this ending, and one of them. */
static uint32_t ending_find(const struct selection *s, const struct ending *e, uint32_t *found)
{
    uint32_t low = ending_bound(s, e, 0), n = ending_bound(s, e, 1) - low;

    if (n > 0)
        *found = s->by_end[low];
    return n;
}

/* The entry without the folders above all classes, or the last few of them, before it; or NULL. */
static const char *below(const char *entry, const char *above)
{
    while (above && *above) {
        size_t n = strlen(above);

        if (strncmp(entry, above, n) == 0)
            return entry + n;
        above += strcspn(above, "/") + 1;
    }
    return NULL;
}

static uint32_t entry_find(const struct selection *s, const char *entry, uint32_t *found)
{
    struct ending e = {entry, strlen(entry), false};
    const char *short_of = below(entry, s->all->above);
    uint32_t n = ending_find(s, &e, found);

    if (n == 0 && short_of) {
        e = (struct ending){short_of, strlen(short_of), false};
        n = ending_find(s, &e, found);
        e = (struct ending){entry, strlen(entry), false};
    }
    e.tail = true;
    return n > 0 ? n : ending_find(s, &e, found);
}

static int refuse_entry(const struct selection *s, const char *entry, const char *path,
                        uint32_t line)
{
    char hint[NEAREST_HINT] = "; a list has one class per line, and no comments";
    const char **words = *entry == '#' ? NULL : calloc((size_t)s->all->n + 1, sizeof *words);

    if (words) {
        memcpy(words, s->all->items, s->all->n * sizeof *words);
        nearest_hint(entry, words, hint);
        free(words);
    }
    return err(ERR_DATA, "'%s' line %u: no class is named '%s'%s", path, line, entry, hint);
}

static int select_entry(struct selection *s, const char *entry, const char *path, uint32_t line)
{
    uint32_t found = 0, n = entry_find(s, entry, &found);

    if (n == 0)
        return refuse_entry(s, entry, path, line);
    if (n > 1)
        return err(ERR_DATA, "'%s' line %u: '%s' matches %u classes", path, line, entry, n);
    if (s->taken[found])
        return err(ERR_DATA, "'%s' line %u: class '%s' is listed twice", path, line,
                   s->all->items[found]);
    if (s->first[found] == s->first[found + 1])
        return err(ERR_DATA, "'%s' line %u: class '%s' has no images", path, line,
                   s->all->items[found]);
    s->taken[found] = true;
    s->chosen[s->n++] = found;
    return 0;
}

static int select_lines(struct selection *s, const char *path)
{
    struct names list;
    int code = 0;

    TRY(names_read(&list, path));
    for (uint32_t i = 0; i < list.n && code == 0; i++)
        if (*list.items[i])
            code = select_entry(s, list.items[i], path, i + 1);
    names_release(&list);
    return code;
}

static int select_all(struct selection *s, const struct strings *lists, const char *root)
{
    by_end_sort(s);
    for (int i = 0; i < lists->n; i++) {
        char *path = path_join(root, lists->items[i]);
        int code = path ? select_lines(s, path) : err(ERR_MEMORY, "out of memory for a path");

        free(path);
        TRY(code);
    }
    return s->n > 0 ? 0 : err(ERR_DATA, "'%s' names no class", lists->items[0]);
}

int names_select(const struct names *v, const uint32_t *first, const struct strings *lists,
                 const char *root, uint32_t **selected, uint32_t *n_selected)
{
    struct selection s = {.all = v, .first = first};
    int code;

    s.by_end = calloc(v->n, sizeof *s.by_end);
    s.taken = calloc(v->n, sizeof *s.taken);
    s.chosen = calloc(v->n, sizeof *s.chosen);
    code = s.by_end && s.taken && s.chosen ? select_all(&s, lists, root)
                                           : err(ERR_MEMORY, "out of memory for %u classes", v->n);
    free(s.by_end);
    free(s.taken);
    if (code < 0) {
        free(s.chosen);
        return code;
    }
    *selected = s.chosen;
    *n_selected = s.n;
    return 0;
}
