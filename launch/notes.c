/* notes.c - warnings about data. */
#include "launch/notes.h"

#include <stdio.h>
#include <string.h>

static const char *note_of(const struct data *d)
{
    return d->ops && d->ops->note ? d->ops->note(d) : NULL;
}

void notes_of_range(const struct survey *s)
{
    char text[400];

    if (survey_warning(s, text, sizeof text))
        fprintf(stderr, "warning: data '%s': %s\n", s->name, text);
}

void notes_of_data(const struct data *d)
{
    if (note_of(d))
        fprintf(stderr, "warning: data '%s': %s\n", d->name, note_of(d));
}

/* Data sets opened from the same files share one sentence. */
static bool is_told(const struct setup *s, int i)
{
    const char *note = note_of(&s->data[i]);

    for (int k = 0; k < i; k++)
        if (note_of(&s->data[k]) == note)
            return true;
    return !note;
}

void notes_of_setup(const struct setup *setup, const struct survey *known, int n)
{
    for (int i = 0; i < setup->n_data; i++)
        if (!is_told(setup, i))
            fprintf(stderr, "warning: data '%s': %s\n", setup->data[i].name,
                    note_of(&setup->data[i]));
    for (int i = 0; i < n; i++)
        notes_of_range(&known[i]);
}
