/* fuzz_names.c - a list of class names and, after a zero byte, a list that selects among them. */
#include "core/data/names.h"
#include "tests/fuzz/fuzz.h"

static struct scratch all, list;

/* Every fourth class has no images. */
static uint32_t *first_make(uint32_t n)
{
    uint32_t *first = calloc((size_t)n + 1, sizeof *first);

    EXPECT(first);
    for (uint32_t i = 0; i < n; i++)
        first[i + 1] = first[i] + (i % 4 != 3);
    return first;
}

static void selection_check(const struct names *v, const uint32_t *first, const uint32_t *selected,
                            uint32_t n)
{
    EXPECT(n > 0 && n <= v->n);
    for (uint32_t i = 0; i < n; i++) {
        EXPECT(selected[i] < v->n && first[selected[i]] < first[selected[i] + 1]);
        for (uint32_t k = 0; k < i; k++)
            EXPECT(selected[k] != selected[i]);
    }
}

static void try_select(const struct names *v)
{
    char *path = list.path;
    struct strings lists = {1, &path};
    uint32_t *first = first_make(v->n), *selected = NULL, n = 0;
    int code = names_select(v, first, &lists, "", &selected, &n);

    if (code < 0)
        EXPECT_REFUSAL(code, ERR_DATA);
    else
        selection_check(v, first, selected, n);
    free(selected);
    free(first);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    const uint8_t *zero = n > 0 ? memchr(bytes, 0, n) : NULL;
    size_t split = zero ? (size_t)(zero - bytes) : n;
    struct names v;
    int code;

    scratch_put(&all, bytes, split);
    scratch_put(&list, bytes + split + (zero != NULL), n - split - (zero != NULL));
    code = names_read(&v, all.path);
    if (code < 0) {
        EXPECT_REFUSAL(code, ERR_DATA);
        return 0;
    }
    code = names_check_all(&v, all.path);
    EXPECT(code == 0 || code == ERR_DATA);
    try_select(&v);
    names_release(&v);
    return 0;
}
