/* label.c - distinguishes runs by id, also those with the same name. */
#include <stdio.h>
#include <string.h>

#include "observer/view/view.h"

void run_key(const struct runs *runs, const struct run *r, char *text, size_t n)
{
    int same = 1;

    for (int i = 0; i < runs->n && &runs->sources[i].run != r; i++)
        same += strcmp(runs->sources[i].run.id, r->id) == 0;
    if (same > 1 && *r->id)
        snprintf(text, n, "%s-%d", r->id, same);
    else
        snprintf(text, n, "%s", r->id);
}

void run_label(const struct runs *runs, const struct run *r, char *text, size_t n)
{
    char key[KEY];

    run_key(runs, r, key, sizeof key);
    for (int i = 0; i < runs->n; i++) {
        const struct run *other = &runs->sources[i].run;

        if (other != r && *key && strcmp(other->name, r->name) == 0) {
            snprintf(text, n, "%s %s", r->name, key);
            return;
        }
    }
    snprintf(text, n, "%s", r->name);
}
