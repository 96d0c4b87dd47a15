/* checkpoint_writer.c - writes checkpoints and does nothing else, for those who kill it at every
 * system call.
 *
 *   checkpoint_writer write DIRECTORY FIRST LAST KEEP   rounds FIRST to LAST, pruned;
 *   access("/begin") before each
 *   checkpoint_writer newest DIRECTORY                  prints the round of the newest valid one,
 *   once its every value is
 *                                                       what `write` gave it; what is skipped goes
 *                                                       to standard error
 *   checkpoint_writer clean DIRECTORY                   removes temporaries
 *   checkpoint_writer stuck DIRECTORY SECONDS           saves once through a saver whose patience
 *   is SECONDS */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "coordinator/run/saver.h"
#include "core/base/err.h"
#include "core/base/outfile.h"
#include "core/file/checkpoint.h"
#include "core/file/checkpoint_files.h"

enum { N = 8 + 3 + 6, N_STATE = 2 };

static struct layout layout;
static const struct optim_ops *adam;
static real theta[N], state[N_STATE * N];

static int start(void)
{
    TRY(layout_add(&layout,
                   (struct segment){.name = "conv1.weight", .n_dims = 4, .dims = {2, 1, 2, 2}}));
    TRY(layout_add(&layout, (struct segment){.name = "bn1.weight", .n_dims = 1, .dims = {3}}));
    TRY(layout_add(&layout, (struct segment){.name = "head.weight", .n_dims = 2, .dims = {2, 3}}));
    adam = optim_find("adam");
    return 0;
}

/* What parameters and state are after a round. */
static void fill(uint64_t round)
{
    for (int i = 0; i < N; i++)
        theta[i] = (real)(round * 1000 + (uint64_t)i);
    for (int i = 0; i < N_STATE * N; i++)
        state[i] = (real)(round * 1000 + 100 + (uint64_t)i);
}

static struct checkpoint_info info_of(uint64_t round)
{
    real scratch[N];

    fill(round);
    return (struct checkpoint_info){.round = round,
                                    .seed = 7,
                                    .hash = layout_hash(&layout, theta, scratch),
                                    .stage_name = "meta",
                                    .configuration = "run { seed = 7 }\n"};
}

static int write_rounds(const char *directory, uint64_t first, uint64_t last, int keep)
{
    for (uint64_t round = first; round <= last; round++) {
        struct checkpoint_info info = info_of(round);
        struct checkpoint_key trusted = {0, first}, key = {0, round};
        char path[1024];

        access("/begin", F_OK);
        checkpoint_path(directory, 0, round, path, sizeof path);
        TRY(checkpoint_write(path, &layout, theta, adam, state, &info));
        TRY(checkpoint_prune(directory, NULL, keep, &trusted, &key));
    }
    return 0;
}

static void complain(void *context, const char *sentence)
{
    (void)context;
    fprintf(stderr, "%s\n", sentence);
}

static int newest(const char *directory)
{
    real read_theta[N], read_state[N_STATE * N];
    struct checkpoint_info info;
    char path[1280];
    int found = checkpoint_newest(directory, NULL, path, sizeof path, complain, NULL);

    TRY(found);
    if (!found)
        return err(ERR_NOINPUT, "'%s' has no good checkpoint", directory);
    TRY(checkpoint_read(path, &layout, read_theta, adam, read_state, &info));
    fill(info.round);
    if (memcmp(theta, read_theta, sizeof theta) != 0 ||
        memcmp(state, read_state, sizeof state) != 0)
        return err(ERR_DATA, "'%s' does not hold what was written", path);
    printf("%" PRIu64 "\n", info.round);
    return 0;
}

static int stuck(const char *directory, double patience)
{
    struct checkpoint_info info = info_of(1);
    struct saver s;
    int code;

    TRY(saver_open(&s, directory, 3, N + N_STATE * N));
    s.patience = patience;
    TRY(saver_save(&s, &layout, theta, adam, state, &info));
    code = saver_wait(&s, patience);
    saver_close(&s);
    return code;
}

static int run(int n, char **a)
{
    TRY(start());
    if (n == 6 && strcmp(a[1], "write") == 0)
        return write_rounds(a[2], strtoull(a[3], NULL, 10), strtoull(a[4], NULL, 10), atoi(a[5]));
    if (n == 3 && strcmp(a[1], "newest") == 0)
        return newest(a[2]);
    if (n == 3 && strcmp(a[1], "clean") == 0) {
        outfile_clean(a[2], checkpoint_is_name);
        return 0;
    }
    if (n == 4 && strcmp(a[1], "stuck") == 0)
        return stuck(a[2], atof(a[3]));
    return err(ERR_USAGE, "checkpoint_writer write|newest|clean|stuck DIRECTORY ...");
}

int main(int n, char **a)
{
    int code = run(n, a);

    if (code < 0)
        fprintf(stderr, "%s\n", err_text());
    return err_exit_status(code);
}
