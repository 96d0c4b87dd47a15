/* model_note.c - sentences about a run, and what there is no room for. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "observer/model/model_internal.h"

/* If a sentence is repeated only its count changes. */
static void note(struct run *r, struct note fresh)
{
    struct note *last = &r->notes[(r->n_notes + NOTES_MAX - 1) % NOTES_MAX];

    fresh.serial = ++r->serial;
    fresh.count = 1;
    if (r->n_notes > 0 && last->level == fresh.level && strcmp(last->text, fresh.text) == 0)
        fresh.count = last->count + 1;
    else
        r->n_notes++;
    r->notes[(r->n_notes - 1) % NOTES_MAX] = fresh;
}

void model_note(struct run *r, enum note_level level, double time, const char *fmt, ...)
{
    struct note fresh = {.level = level, .time = time, .stage = r->stage};
    char text[2 * SENTENCE];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    text_clean(fresh.text, sizeof fresh.text, text);
    if (r->stage >= 0)
        fresh.round = r->stages[r->stage].round;
    note(r, fresh);
}

void model_left_out(struct run *r, enum left_out what)
{
    static const struct {
        const char *names;
        int most;
    } kinds[] = {
        [OUT_STAGES] = {"stages", STAGES_MAX},
        [OUT_SERIES] = {"curves", SERIES_MAX},
        [OUT_WORKERS] = {"workers", WORKERS_MAX},
        [OUT_EVALUATIONS] = {"last evaluations", EVALUATIONS_MAX},
        [OUT_FACTS] = {"facts about the run", FACTS_MAX},
    };

    r->refused++;
    if (!(r->left_out & 1u << what))
        model_note(r, NOTE_FAULT, r->time, "more than %d %s: the others are not shown",
                   kinds[what].most, kinds[what].names);
    r->left_out |= 1u << what;
}
