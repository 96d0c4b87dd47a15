/* fuzz_safetensors.c - a safetensors file: every number and text of it, as a checkpoint of a small
 * network, and as parameters under other names. */
#include "core/file/checkpoint.h"
#include "core/file/safetensors.h"
#include "core/file/state_dict.h"
#include "tests/fuzz/repair.h"

REPAIR_WITH(repair_safetensors)

static const char *const names[] = {"fc1.weight", "fc1.bias", "head.weight", "head.bias"};
static const size_t dims[][2] = {{3, 2}, {3, 0}, {2, 3}, {2, 0}};

static void layout_make(struct layout *l)
{
    if (l->n > 0)
        return;
    for (int i = 0; i < 4; i++) {
        struct segment s = {
            .name = names[i], .n_dims = dims[i][1] ? 2 : 1, .dims = {dims[i][0], dims[i][1]}};

        EXPECT(layout_add(l, s) == 0);
    }
}

/* The tensors lie one behind the other, up to the end of the file. */
static void places_check(const struct safetensors *s)
{
    const char *end = s->bytes + s->n_bytes;

    for (int i = s->n_tensors - 1; i >= 0; i--) {
        const struct tensor *t = &s->tensors[i];
        const char *begin = t->data;

        EXPECT(begin > s->bytes && begin + t->n * dtype_size(t->dtype) == end);
        end = begin;
    }
}

static void try_tensors(const char *path)
{
    struct safetensors s;
    int code = safetensors_open(&s, path);

    if (code < 0) {
        EXPECT_REFUSAL(code, ERR_DATA);
        return;
    }
    places_check(&s);
    for (int i = 0; i < s.n_tensors; i++) {
        for (size_t k = 0; k < s.tensors[i].n; k++) {
            volatile double x = tensor_get(&s.tensors[i], k);

            (void)x;
        }
        EXPECT(safetensors_find(&s, s.tensors[i].name));
    }
    for (int i = 0; i < s.n_texts; i++)
        EXPECT(safetensors_text(&s, s.texts[i].key));
    safetensors_close(&s);
}

static void try_checkpoint(const char *path)
{
    static struct layout l;
    const struct optim_ops *adam = optim_find("adam");
    struct checkpoint_info info;
    real theta[32], state[64];
    char *configuration;
    int code;

    layout_make(&l);
    EXPECT(l.n <= 32 && adam && adam->n_state <= 2);
    code = checkpoint_read(path, &l, theta, adam, state, &info);
    EXPECT(code == 0 || code == ERR_DATA);
    code = checkpoint_configuration(path, &configuration);
    EXPECT(code == 0 || code == ERR_DATA);
    if (code == 0)
        free(configuration);
}

/* Under other names: by a rule, and by order. */
static void try_state_dict(const char *path)
{
    static struct layout l;
    char *rules[] = {"features=fc1"};
    struct state_dict d;

    layout_make(&l);
    for (int n_rules = 0; n_rules < 2; n_rules++) {
        int code = state_dict_open(&d, path, rules, n_rules);

        EXPECT(code == 0 || code == ERR_DATA || (code == ERR_CONFIG && n_rules));
        if (code < 0)
            continue;
        state_dict_order(&d, &l);
        for (int i = 0; i < d.n; i++)
            EXPECT(d.entries[i].name && state_dict_find(&d, d.entries[i].name));
        state_dict_close(&d);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct scratch file;
    const char *path = scratch_put(&file, bytes, n);

    try_tensors(path);
    try_checkpoint(path);
    try_state_dict(path);
    return 0;
}
