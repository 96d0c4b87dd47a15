/* event.c - finds values by their keys; cleans texts for terminals. */
#include "observer/model/event.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/utf8.h"

enum { WORD_MAX = 48 };

bool event_is_word(const char *text)
{
    size_t n = strlen(text);

    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)text[i]) && text[i] != '_')
            return false;
    return n > 0 && n < WORD_MAX;
}

int event_add(struct event *e, struct field f)
{
    if (e->n >= EVENT_FIELDS)
        return err(ERR_DATA, "more than %d values in an event", EVENT_FIELDS);
    if (f.type == FIELD_NUMBERS && f.n > EVENT_NUMBERS)
        return err(ERR_DATA, "more than %d numbers in '%s'", EVENT_NUMBERS, f.key);
    e->fields[e->n++] = f;
    e->fields[e->n] = (struct field){0};
    return 0;
}

const struct field *event_find(const struct event *e, const char *key)
{
    for (int i = 0; i < e->n; i++)
        if (strcmp(e->fields[i].key, key) == 0)
            return &e->fields[i];
    return NULL;
}

double field_number(const struct field *f)
{
    if (f->type == FIELD_INTEGER)
        return (double)f->integer;
    return f->type == FIELD_NUMBER ? f->number : NAN;
}

static bool is_place(const char *key)
{
    return strcmp(key, "round") == 0 || strcmp(key, "stage_index") == 0 || strcmp(key, "step") == 0;
}

bool event_next(const struct event *e, struct value *v)
{
    for (; v->at < e->n; v->at++, v->next = 0) {
        const struct field *f = &e->fields[v->at];
        bool list = f->type == FIELD_NUMBERS;
        int n = is_place(f->key) ? 0 : list ? (int)f->n : 1;

        while (v->next < n) {
            v->field = f;
            v->step = list ? v->next : -1;
            v->number = list ? f->numbers[v->next] : field_number(f);
            v->next++;
            if (isfinite(v->number))
                return true;
        }
    }
    return false;
}

double event_number(const struct event *e, const char *key, double otherwise)
{
    const struct field *f = event_find(e, key);

    return f && (f->type == FIELD_INTEGER || f->type == FIELD_NUMBER) ? field_number(f) : otherwise;
}

int64_t event_integer(const struct event *e, const char *key, int64_t otherwise)
{
    const struct field *f = event_find(e, key);

    if (f && f->type == FIELD_INTEGER)
        return f->integer;
    if (f && f->type == FIELD_NUMBER && fabs(f->number) < 9e15)
        return (int64_t)f->number;
    return otherwise;
}

uint64_t event_count(const struct event *e, const char *key)
{
    int64_t n = event_integer(e, key, 0);

    return n > 0 ? (uint64_t)n : 0;
}

const char *event_text(const struct event *e, const char *key)
{
    const struct field *f = event_find(e, key);

    return f && f->type == FIELD_TEXT && f->text ? f->text : "";
}

/* Also characters that reverse the direction of a line. */
static int is_harmless(uint32_t c)
{
    return c >= 0x20 && !(c >= 0x7f && c < 0xa0) && c != 0x61c && !(c >= 0x200b && c <= 0x200f) &&
           !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069) && c != 0xfeff;
}

static void clean(char *to, size_t n, const char *from, bool lines)
{
    const char *s = from;
    size_t used = 0;

    while (*s) {
        uint32_t code;
        int bytes = utf8_read(s, &code),
            good = bytes > 0 && (is_harmless(code) || (lines && code == '\n'));
        size_t add = good ? (size_t)bytes : 1;

        if (used + add >= n)
            break;
        if (good)
            memmove(to + used, s, add);
        else
            to[used] = '?';
        used += add;
        s += bytes > 0 ? bytes : 1;
    }
    if (n > 0)
        to[used] = '\0';
}

void text_clean(char *to, size_t n, const char *from)
{
    clean(to, n, from, false);
}

static bool has_lines(const struct field *f)
{
    return strcmp(f->key, "configuration") == 0;
}

static bool text_is_clean(const struct field *f)
{
    const char *s = f->text;

    while (*s) {
        uint32_t code;
        int bytes = utf8_read(s, &code);

        if (bytes == 0 || !(is_harmless(code) || (code == '\n' && has_lines(f))))
            return false;
        s += bytes;
    }
    return true;
}

static bool is_unclean(const struct field *f)
{
    return f->type == FIELD_TEXT && f->text && !text_is_clean(f);
}

/* Owned by the caller; NULL: no memory. */
static char *field_cleaned(const struct field *f)
{
    size_t n = strlen(f->text) + 1;
    char *copy = malloc(n);

    if (copy)
        clean(copy, n, f->text, has_lines(f));
    return copy;
}

int event_clean(const struct event *e, int (*take)(void *context, const struct event *e),
                void *context)
{
    char *texts[EVENT_FIELDS] = {NULL};
    struct event *clean = NULL;
    int code = 0;

    for (int i = 0; i < e->n && code == 0; i++) {
        if (!is_unclean(&e->fields[i]))
            continue;
        if (!clean && (clean = malloc(sizeof *clean)))
            *clean = *e;
        texts[i] = field_cleaned(&e->fields[i]);
        if (clean && texts[i])
            clean->fields[i].text = texts[i];
        else
            code = err(ERR_MEMORY, "no memory for an event");
    }
    if (code == 0)
        code = take(context, clean ? clean : e);
    for (int i = 0; i < e->n; i++)
        free(texts[i]);
    free(clean);
    return code;
}
