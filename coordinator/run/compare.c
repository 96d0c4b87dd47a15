/* compare.c - what a resumed run was told to do, beside what it is told now. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "coordinator/run/train_internal.h"
#include "core/base/err.h"
#include "core/file/checkpoint.h"

static void refuse(struct changes *c, const struct config_change *change, const char *why)
{
    size_t used = strlen(c->refused);

    snprintf(c->refused + used, sizeof c->refused - used, "%s%s %.100s -> %.100s%s",
             used ? ", " : "", change->key, change->before, change->now, why);
}

static void keep(struct changes *c, const struct config_change *change)
{
    if (c->n == c->room) {
        int room = c->room ? 2 * c->room : 16;
        struct change *more = realloc(c->each, (size_t)room * sizeof *more);

        if (!more) {
            c->code = err(ERR_MEMORY, "no memory for a list of changes");
            return;
        }
        c->each = more;
        c->room = room;
    }
    struct change *mine = &c->each[c->n++];

    *mine = (struct change){strdup(change->key), strdup(change->before), strdup(change->now)};
    if (!mine->key || !mine->before || !mine->now)
        c->code = err(ERR_MEMORY, "no memory for a list of changes");
}

static bool is_rounds(const char *key)
{
    const char *dot = strrchr(key, '.');

    return dot && strcmp(dot, ".rounds") == 0;
}

static void judge(void *context, const struct config_change *change)
{
    struct changes *c = context;
    char why[64];

    if (!change->allowed) {
        refuse(c, change, "");
    } else if (change->stage >= 0 && change->stage < c->stage) {
        refuse(c, change, " (that stage is done)");
    } else if (change->stage == c->stage && is_rounds(change->key) &&
               strtoull(change->now, NULL, 10) < c->round) {
        snprintf(why, sizeof why, " (it stands at round %" PRIu64 ")", c->round);
        refuse(c, change, why);
    } else {
        keep(c, change);
    }
}

static int compare_with(struct train *t, const char *text)
{
    struct config before;
    int code;

    TRY(config_parse(&before, text, t->from, NULL, 0));
    code = config_compare(&before, t->setup->config, judge, t->changes);
    config_release(&before);
    TRY(code);
    TRY(t->changes->code);
    if (*t->changes->refused)
        return err(
            ERR_CONFIG,
            "'%s' cannot go on with other values: %s; --overwrite starts the run again, "
            "--run DIR puts another one elsewhere, '%s/configuration.conf' holds the run's own",
            t->from, t->changes->refused, t->directory);
    return 0;
}

int train_compare(struct train *t)
{
    char *text;
    int code;

    t->changes = calloc(1, sizeof *t->changes);
    if (!t->changes)
        return err(ERR_MEMORY, "no memory for a list of changes");
    t->changes->stage = t->origin.stage;
    t->changes->round = t->origin.round;
    TRY(checkpoint_configuration(t->from, &text));
    code = compare_with(t, text);
    free(text);
    return code;
}

static int data_differ(void *context, const char *section, const char *before, const char *now)
{
    struct train *t = context;
    char key[128];

    if (!t->other_data)
        return err(ERR_DATA,
                   "data '%s' is not what the run in '%s' began with: digest %.20s, now %s; "
                   "--other-data goes on with what is there now, --overwrite starts the run again, "
                   "--run DIR puts another one elsewhere",
                   section, t->directory, before, now);
    snprintf(key, sizeof key, "data.%s", section);
    keep(t->changes, &(struct config_change){.key = key, .before = before, .now = now});
    return t->changes->code;
}

int train_compare_data(struct train *t)
{
    return rundir_compare_data(t->directory, &t->crew->sections, data_differ, t);
}

void train_changes_free(struct train *t)
{
    for (int i = 0; t->changes && i < t->changes->n; i++) {
        free(t->changes->each[i].key);
        free(t->changes->each[i].before);
        free(t->changes->each[i].now);
    }
    if (t->changes)
        free(t->changes->each);
    free(t->changes);
    t->changes = NULL;
}
