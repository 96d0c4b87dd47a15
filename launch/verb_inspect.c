/* verb_inspect.c - `metaloop inspect`: what is in a run's directory, a checkpoint, a data file or a
 * recorded task. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/base/err.h"
#include "core/base/plural.h"
#include "core/data/archive.h"
#include "core/data/array.h"
#include "core/file/checkpoint.h"
#include "core/file/safetensors.h"
#include "core/plan/task_kind.h"
#include "launch/inspect.h"
#include "launch/verbs.h"
#include "proto/wire.h"

enum {
    SHOWN = 30, /* tensors, files, ids of a list, without --all */
    SCALES = 8, /* numbers of a line that inputs are normalised by */
};

/* What inputs and targets are normalised by. */
static void print_scale(const struct tensor *t)
{
    bool scale = strncmp(t->name, "normalize1.", 11) == 0 || strncmp(t->name, "targets.", 8) == 0;

    for (size_t i = 0; scale && i < t->n && i < SCALES; i++)
        printf(" %.6g", tensor_get(t, i));
    if (scale && t->n > SCALES)
        printf(" ...");
}

static void print_tensor(const struct tensor *t, bool all)
{
    if (all && t->digest)
        printf("  %016" PRIx64, t->digest);
    printf("  %-40s %s [", t->name, dtype_name(t->dtype));
    for (int k = 0; k < t->n_dims; k++)
        printf("%s%zu", k ? ", " : "", t->dims[k]);
    printf("]");
    print_scale(t);
    putchar('\n');
}

/* True for tensors of a checkpoint that are not parameters of the stage: vectors of the optimizer,
 * parameters that later stages need. */
static bool is_beside(const struct tensor *t)
{
    return strncmp(t->name, "optimizer.", 10) == 0 || strncmp(t->name, "kept.", 5) == 0;
}

static void print_texts(const struct safetensors *s)
{
    for (int i = 0; i < s->n_texts; i++)
        if (strcmp(s->texts[i].key, "tensor_digests") != 0)
            printf(strchr(s->texts[i].value, '\n') ? "%s:\n%s" : "%s: %s\n", s->texts[i].key,
                   s->texts[i].value);
}

static void print_all(const struct safetensors *s, const char *path)
{
    printf("'%s': safetensors, %d tensor%s", path, s->n_tensors, plural(s->n_tensors));
    if (s->digest)
        printf(", digest %016" PRIx64 " checked", s->digest);
    putchar('\n');
    for (int i = 0; i < s->n_tensors; i++)
        print_tensor(&s->tensors[i], true);
    print_texts(s);
}

/* The metadata of a checkpoint that are there, on one line. */
static void print_origin(const struct safetensors *s)
{
    static const char *const keys[][2] = {{"seed", "seed "},
                                          {"run_id", ", run "},
                                          {"version", ", metaloop "},
                                          {"blas", ", OpenBLAS "},
                                          {"cpu", ", "}};

    if (!safetensors_text(s, "seed"))
        return;
    printf("  ");
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        const char *text = safetensors_text(s, keys[i][0]);

        if (text)
            printf("%s%s", keys[i][1], text);
    }
    putchar('\n');
}

static void print_head(const struct safetensors *s, const char *path)
{
    const char *stage = safetensors_text(s, "stage_name"), *theta = safetensors_text(s, "theta");

    printf("'%s': ", path);
    if (stage && theta)
        printf("checkpoint of stage '%s' after round %s, parameters %s, checked\n", stage,
               safetensors_text(s, "round") ? safetensors_text(s, "round") : "?", theta);
    else
        printf("safetensors, %d tensor%s%s\n", s->n_tensors, plural(s->n_tensors),
               s->digest ? ", digest checked" : "");
    print_origin(s);
}

static void print_short(const struct safetensors *s, const char *path)
{
    size_t n = 0, beside = 0, parameters = 0;

    print_head(s, path);
    for (int i = 0; i < s->n_tensors; i++) {
        if (is_beside(&s->tensors[i])) {
            beside++;
            continue;
        }
        parameters += s->tensors[i].n;
        if (n++ < SHOWN)
            print_tensor(&s->tensors[i], false);
    }
    printf("  %zu number%s in %zu tensor%s", parameters, plural((double)parameters), n,
           plural((double)n));
    if (n > SHOWN)
        printf(", the first %d above", SHOWN);
    if (beside)
        printf("; %zu more of the optimizer and of other stages", beside);
    printf("%s\n", n > SHOWN || beside || s->n_texts ? "; --all shows everything" : "");
}

static int inspect_safetensors(const char *path, bool all)
{
    struct safetensors s;
    int code;

    TRY(safetensors_open(&s, path));
    code = checkpoint_check(&s, path);
    if (code >= 0)
        (all ? print_all : print_short)(&s, path);
    safetensors_close(&s);
    return code;
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

static int inspect_array(const char *path, bool all)
{
    struct blob b;
    bool npy;
    int code;

    (void)all;
    TRY(blob_map(&b, path));
    code = blob_gunzip(&b, path);
    npy = code >= 0 && b.n > 6 && memcmp(b.bytes, "\x93NUMPY", 6) == 0;
    if (code >= 0)
        code = print_array(&b, path, !npy);
    blob_release(&b);
    return code;
}

static int inspect_archive(const char *path, bool all)
{
    struct reader *r;
    const char *name;
    size_t size, total = 0, n = 0, most = all ? SIZE_MAX : 10;
    int more;

    TRY(reader_open(&r, path));
    while ((more = reader_next(r, &name, &size)) > 0) {
        if (n++ < most)
            printf("  %-60s %zu byte%s\n", name, size, plural((double)size));
        total += size;
    }
    reader_close(r);
    TRY(more);
    printf("'%s': archive, %zu file%s, %zu byte%s%s\n", path, n, plural((double)n), total,
           plural((double)total), n > most ? "; the first ten are above, --all shows all" : "");
    return 0;
}

struct listing {
    const char *path;
    bool all;
};

static void print_list(const struct listing *l, const struct task_list *list)
{
    uint32_t most = l->all || list->n <= SHOWN ? list->n : SHOWN;

    printf("  %-7s", list->name);
    for (uint32_t i = 0; i < most; i++)
        printf(" %u", list->ids[i]);
    if (most < list->n)
        printf(" ... of %u, --all shows all", list->n);
    putchar('\n');
}

static int print_task(void *context, const struct task *t)
{
    const struct listing *l = context;
    struct task_list lists[TASK_LISTS];
    int n = task_lists(t, lists);

    printf("'%s': task of stage %u, data %u, round %u, slot %u, seed %" PRIu64, l->path, t->stage,
           t->data, t->round, t->slot, t->seed);
    if (t->way)
        printf("; way %u, shot %u, query %u", t->way, t->shot, t->query);
    if (t->n_source)
        printf("; %u sample%s", t->n_source, plural(t->n_source));
    if (t->n_targets)
        printf(", %u of data %u", t->n_targets, t->target);
    putchar('\n');
    for (int i = 0; i < n; i++)
        print_list(l, &lists[i]);
    return 0;
}

static int inspect_task(const char *path, bool all)
{
    struct listing l = {path, all};
    struct blob b;
    int code;

    TRY(blob_map(&b, path));
    code = wire_unpack_task(b.bytes, b.n, print_task, &l);
    blob_release(&b);
    return code < 0 ? err_within(code, "'%s'", path) : 0;
}

static const struct {
    const char *end;
    int (*inspect)(const char *path, bool all);
} kinds[] = {
    {".safetensors", inspect_safetensors},
    {".safetensors.damaged", inspect_safetensors},
    {".safetensors.other", inspect_safetensors},
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
    struct stat st;

    if (stat(path, &st) != 0)
        return err(ERR_NOINPUT, "cannot open '%s': %s", path, strerror(errno));
    if (S_ISDIR(st.st_mode))
        return inspect_run(path);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        size_t m = strlen(kinds[i].end);

        if (n >= m && strcmp(path + n - m, kinds[i].end) == 0)
            return kinds[i].inspect(path, o->all);
    }
    return err(ERR_USAGE,
               "'%s' is not a run directory, and its name ends in none of .safetensors, .npy, "
               ".npz, .idx, -ubyte, .gz, .zip, .tar, .tar.gz, .tgz, .bin (a recorded task)",
               path);
}

const struct verb verb_inspect = {
    .name = "inspect",
    .places = "FILE|RUN_DIR",
    .min_places = 1,
    .max_places = 1,
    .options = "all",
    .summary = "print what is in a run's directory, a checkpoint, a data file or a recorded task",
    .run = inspect,
};
