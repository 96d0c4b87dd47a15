/* line.c - reads an event from a line, and checks everything in it. */
#include "observer/source/line.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/base/err.h"

static int list_read(const char *key, const json_t *list, struct event *e)
{
    size_t n = json_array_size(list);
    double *numbers = e->numbers + e->n_numbers;

    if (n > (size_t)(EVENT_NUMBERS - e->n_numbers))
        return err(ERR_DATA, "more than %d numbers in lists", EVENT_NUMBERS);
    for (size_t i = 0; i < n; i++) {
        const json_t *value = json_array_get(list, i);

        if (!json_is_number(value) && !json_is_null(value))
            return err(ERR_DATA, "'%s' has an element that is not a number", key);
        numbers[i] = json_is_null(value) ? NAN : json_number_value(value);
    }
    e->n_numbers += (int)n;
    return event_add(e, (struct field)NUMBERS(key, numbers, n));
}

static int value_read(const char *key, const json_t *value, struct event *e)
{
    if (json_is_integer(value))
        return event_add(e, (struct field)INTEGER(key, json_integer_value(value)));
    if (json_is_real(value))
        return event_add(e, (struct field)NUMBER(key, json_real_value(value)));
    if (json_is_null(value))
        return event_add(e, (struct field)NUMBER(key, NAN));
    if (json_is_boolean(value))
        return event_add(e, (struct field)INTEGER(key, json_is_true(value)));
    if (json_is_string(value))
        return event_add(e, (struct field)TEXT(key, json_string_value(value)));
    if (json_is_array(value))
        return list_read(key, value, e);
    return err(ERR_DATA, "the value of '%s' is neither a number nor a text", key);
}

static int object_read(json_t *o, struct event *e)
{
    const char *key;
    json_t *value;

    if (!json_is_object(o))
        return err(ERR_DATA, "not an object");
    e->kind = json_string_value(json_object_get(o, "kind"));
    if (!e->kind || !event_is_word(e->kind))
        return err(ERR_DATA, "no 'kind' that is a word");
    json_object_foreach(o, key, value)
    {
        if (!event_is_word(key))
            return err(ERR_DATA, "a name that is not a word");
        if (strcmp(key, "kind") != 0)
            TRY(value_read(key, value, e));
    }
    return 0;
}

int line_read(const char *line, size_t n, struct event *e, json_t **holder)
{
    json_error_t error;

    *e = (struct event){0};
    *holder = NULL;
    if (memchr(line, '\0', n)) /* jansson does not notice it */
        return err(ERR_DATA, "not JSON: a zero byte");
    *holder = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
    if (!*holder)
        return err(ERR_DATA, "not JSON: %s", error.text);
    int code = object_read(*holder, e);
    if (code < 0) {
        json_decref(*holder);
        *holder = NULL;
    }
    return code;
}
