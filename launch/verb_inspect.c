/* verb_inspect.c - `metaloop inspect`: what is in a checkpoint, a data file or a recorded task. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/checkpoint.h"
#include "core/data/archive.h"
#include "core/data/array.h"
#include "core/err.h"
#include "core/safetensors.h"
#include "launch/verbs.h"
#include "proto/wire.h"

static void print_tensor(const struct tensor *t)
{
    if (t->digest)
        printf("  %016" PRIx64, t->digest);
    printf("  %-40s %s [", t->name, dtype_name(t->dtype));
    for (int k = 0; k < t->n_dims; k++)
        printf("%s%zu", k ? ", " : "", t->dims[k]);
    printf("]\n");
}

static int inspect_safetensors(const char *path)
{
    struct safetensors s;

    int code;

    TRY(safetensors_open(&s, path));
    code = checkpoint_check(&s, path);
    if (code < 0) {
        safetensors_close(&s);
        return code;
    }
    printf("'%s': safetensors, %d tensors", path, s.n_tensors);
    if (s.digest)
        printf(", digest %016" PRIx64 " checked", s.digest);
    putchar('\n');
    for (int i = 0; i < s.n_tensors; i++)
        print_tensor(&s.tensors[i]);
    for (int i = 0; i < s.n_texts; i++)
        if (strcmp(s.texts[i].key, "tensor_digests") != 0)
            printf(strchr(s.texts[i].value, '\n') ? "%s:\n%s" : "%s: %s\n", s.texts[i].key,
                   s.texts[i].value);
    safetensors_close(&s);
    return 0;
}

static int print_array(const struct blob *b, const char *name, bool idx)
{
    struct array a;

    TRY(idx ? array_from_idx(&a, b, name) : array_from_npy(&a, b, name));
    printf("'%s': %s, %c%d [", name, idx ? "idx" : "npy", a.kind, a.width);
    for (int i = 0; i < a.n_dims; i++)
        printf("%s%" PRIu64, i ? ", " : "", a.dims[i]);
    printf("]\n");
    return 0;
}

static int inspect_array(const char *path)
{
    struct blob b;
    bool npy;
    int code;

    TRY(blob_map(&b, path));
    code = blob_gunzip(&b, path);
    npy = code >= 0 && b.n > 6 && memcmp(b.bytes, "\x93NUMPY", 6) == 0;
    if (code >= 0)
        code = print_array(&b, path, !npy);
    blob_release(&b);
    return code;
}

static int inspect_archive(const char *path)
{
    struct reader *r;
    const char *name;
    size_t size, total = 0, n = 0;
    int more;

    TRY(reader_open(&r, path));
    while ((more = reader_next(r, &name, &size)) > 0) {
        if (n++ < 10)
            printf("  %-60s %zu bytes\n", name, size);
        total += size;
    }
    reader_close(r);
    TRY(more);
    printf("'%s': archive, %zu files, %zu bytes%s\n", path, n, total,
           n > 10 ? "; the first ten above" : "");
    return 0;
}

static void print_ids(const char *name, const uint32_t *ids, uint32_t n)
{
    printf("  %s", name);
    for (uint32_t i = 0; i < n; i++)
        printf(" %u", ids[i]);
    putchar('\n');
}

static int print_task(void *context, const struct task *t)
{
    printf("'%s': task of stage %u, data %u, round %u, slot %u, seed %" PRIu64
           "; way %u, shot %u, query %u\n",
           (const char *)context, t->stage, t->data, t->round, t->slot, t->seed, t->way, t->shot,
           t->query);
    print_ids("classes", t->classes, t->way);
    print_ids("turns  ", t->turns, t->way);
    print_ids("support", t->support, t->way * t->shot);
    print_ids("queries", t->queries, t->way * t->query);
    return 0;
}

static int inspect_task(const char *path)
{
    struct blob b;
    int code;

    TRY(blob_map(&b, path));
    code = wire_unpack_task(b.bytes, b.n, print_task, (void *)path);
    blob_release(&b);
    return code < 0 ? err_within(code, "'%s'", path) : 0;
}

static const struct {
    const char *end;
    int (*inspect)(const char *path);
} kinds[] = {
    {".safetensors", inspect_safetensors},
    {".safetensors.damaged", inspect_safetensors},
    {".npy", inspect_array},
    {"ubyte", inspect_array},
    {".npz", inspect_archive},
    {".zip", inspect_archive},
    {".tar", inspect_archive},
    {".tar.gz", inspect_archive},
    {".tgz", inspect_archive},
    {".gz", inspect_array},
    {".idx", inspect_array},
    {".bin", inspect_task},
};

static int inspect(const struct options *o)
{
    const char *path = o->places[0];
    size_t n = strlen(path);

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t m = strlen(kinds[i].end);

        if (n >= m && strcmp(path + n - m, kinds[i].end) == 0)
            return kinds[i].inspect(path);
    }
    return err(ERR_USAGE,
               "'%s' ends in none of .safetensors, .npy, .npz, .idx, -ubyte, .gz, .zip, .tar, "
               ".tar.gz, .tgz, .bin (a recorded task)",
               path);
}

const struct verb verb_inspect = {
    .name = "inspect",
    .places = "FILE",
    .min_places = 1,
    .max_places = 1,
    .options = "",
    .summary = "what is in a checkpoint, a data file or a recorded task",
    .run = inspect,
};
