/* event.c - sets fields by their keys in the message that the kind names, by protobuf-c's
 * descriptors. */
#include "proto/stream/event.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/base/err.h"
#include "core/base/utf8.h"
#include "proto/metaloop.pb-c.h"

/* ---- text ---- */

static char *text_copy(const char *text)
{
    char *copy = strdup(text ? text : "");
    int n;

    for (char *p = copy; p && *p; p += n) {
        n = utf8_read(p, NULL);
        if (n == 0)
            *p = '?', n = 1;
    }
    return copy;
}

/* ---- messages by their descriptors ---- */

static ProtobufCMessage *message_new(const ProtobufCMessageDescriptor *what)
{
    ProtobufCMessage *m = calloc(1, what->sizeof_message);

    if (m)
        protobuf_c_message_init(what, m);
    return m;
}

static int message_fill(ProtobufCMessage *m, const struct field *fields);

/* So many empty messages in the place of a list; *n counts them. */
static int list_new(const struct field *f, const ProtobufCFieldDescriptor *d, size_t room,
                    void *place, size_t *n)
{
    ProtobufCMessage **each = calloc(room, sizeof(ProtobufCMessage *));

    if (!each)
        return err(ERR_MEMORY, "no memory for '%s'", f->key);
    *(ProtobufCMessage ***)place = each;
    for (; *n < room; ++*n) {
        each[*n] = message_new(d->descriptor);
        if (!each[*n])
            return err(ERR_MEMORY, "no memory for '%s'", f->key);
    }
    return 0;
}

static int list_set(const struct field *f, const ProtobufCFieldDescriptor *d, void *place,
                    size_t *n)
{
    size_t room = 0;

    while (f->list[room])
        room++;
    if (room == 0)
        return 0;
    TRY(list_new(f, d, room, place, n));
    for (size_t i = 0; i < room; i++)
        TRY(message_fill((*(ProtobufCMessage ***)place)[i], f->list[i]));
    return 0;
}

static int metrics_set(const struct field *f, const ProtobufCFieldDescriptor *d, void *place,
                       size_t *n)
{
    if (f->n == 0)
        return 0;
    TRY(list_new(f, d, f->n, place, n));
    for (size_t i = 0; i < f->n; i++) {
        struct field one[] = {TEXT("name", f->names[i]), NUMBER("value", f->numbers[i]), {0}};

        TRY(message_fill((*(ProtobufCMessage ***)place)[i], one));
    }
    return 0;
}

static int numbers_set(const struct field *f, void *place, size_t *n)
{
    double *numbers;

    if (f->n == 0)
        return 0;
    numbers = malloc(f->n * sizeof *numbers);
    if (!numbers)
        return err(ERR_MEMORY, "no memory for '%s'", f->key);
    *(double **)place = memcpy(numbers, f->numbers, f->n * sizeof *numbers);
    *n = f->n;
    return 0;
}

static int field_set(const struct field *f, const ProtobufCFieldDescriptor *d, void *place,
                     size_t *n)
{
    bool repeated = d->label == PROTOBUF_C_LABEL_REPEATED;

    if (f->type == FIELD_LIST && repeated && d->type == PROTOBUF_C_TYPE_MESSAGE)
        return list_set(f, d, place, n);
    if (f->type == FIELD_METRICS && repeated && d->type == PROTOBUF_C_TYPE_MESSAGE)
        return metrics_set(f, d, place, n);
    if (f->type == FIELD_NUMBERS && repeated && d->type == PROTOBUF_C_TYPE_DOUBLE)
        return numbers_set(f, place, n);
    if (repeated)
        return err(ERR_FAILED, "'%s' is of another type in Event", f->key);
    if (f->type == FIELD_TEXT && d->type == PROTOBUF_C_TYPE_STRING)
        *(char **)place = text_copy(f->text);
    else if (f->type == FIELD_NUMBER && d->type == PROTOBUF_C_TYPE_DOUBLE)
        *(double *)place = f->number;
    else if (f->type == FIELD_INTEGER && d->type == PROTOBUF_C_TYPE_DOUBLE)
        *(double *)place = (double)f->integer;
    else if (f->type == FIELD_INTEGER && d->type == PROTOBUF_C_TYPE_UINT64)
        *(uint64_t *)place = (uint64_t)f->integer;
    else if (f->type == FIELD_INTEGER && d->type == PROTOBUF_C_TYPE_UINT32)
        *(uint32_t *)place = (uint32_t)f->integer;
    else if (f->type == FIELD_INTEGER && d->type == PROTOBUF_C_TYPE_INT32)
        *(int32_t *)place = (int32_t)f->integer;
    else
        return err(ERR_FAILED, "'%s' is of another type in Event", f->key);
    if (f->type == FIELD_TEXT && !*(char **)place)
        return err(ERR_MEMORY, "no memory for '%s'", f->key);
    return 0;
}

static int message_fill(ProtobufCMessage *m, const struct field *fields)
{
    for (; fields->type != FIELD_END; fields++) {
        const ProtobufCFieldDescriptor *d =
            protobuf_c_message_descriptor_get_field_by_name(m->descriptor, fields->key);

        if (!d)
            return err(ERR_FAILED, "'%s' has no '%s'", m->descriptor->name, fields->key);
        TRY(field_set(fields, d, (char *)m + d->offset,
                      (size_t *)((char *)m + d->quantifier_offset)));
    }
    return 0;
}

static const ProtobufCFieldDescriptor *kind_find(const char *kind)
{
    const ProtobufCFieldDescriptor *d =
        protobuf_c_message_descriptor_get_field_by_name(&metaloop__event__descriptor, kind);

    return d && d->type == PROTOBUF_C_TYPE_MESSAGE && strlen(kind) <= STREAM_KIND ? d : NULL;
}

bool stream_event_has(const char *kind, const char *key)
{
    const ProtobufCFieldDescriptor *d = kind_find(kind);

    return d && (!key || protobuf_c_message_descriptor_get_field_by_name(d->descriptor, key));
}

/* The message of that kind, in its place in e. */
static int what_fill(Metaloop__Event *e, const char *kind, const struct field *fields)
{
    const ProtobufCFieldDescriptor *d = kind_find(kind);
    ProtobufCMessage *what;

    if (!d)
        return err(ERR_FAILED, "Event has no '%s'", kind);
    what = message_new(d->descriptor);
    if (!what)
        return err(ERR_MEMORY, "no memory for an event '%s'", kind);
    *(ProtobufCMessage **)((char *)e + d->offset) = what;
    e->what_case = (Metaloop__Event__WhatCase)d->id;
    return message_fill(what, fields);
}

/* ---- events ---- */

/* The kind and the values that distinguish one curve from another. */
static void name_series(struct stream_event *e, const struct field *fields)
{
    static const char *const keys[] = {"stage_index", "data", "target", "step", "source"};
    size_t room = sizeof e->series;
    int at = snprintf(e->series, room, "%s", e->kind);

    for (; fields->type != FIELD_END; fields++)
        for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
            if (strcmp(fields->key, keys[i]) != 0 || (size_t)at >= room)
                continue;
            if (fields->type == FIELD_TEXT)
                at += snprintf(e->series + at, room - (size_t)at, " %s", fields->text);
            else
                at += snprintf(e->series + at, room - (size_t)at, " %lld",
                               (long long)fields->integer);
        }
}

static struct stream_event *event_of(Metaloop__Event *m, const char *kind,
                                     const struct field *fields)
{
    Metaloop__Events alone = METALOOP__EVENTS__INIT;
    struct stream_event *e;

    alone.n_events = 1;
    alone.events = &m;
    e = malloc(sizeof *e + metaloop__events__get_packed_size(&alone));

    if (!e) {
        err(ERR_MEMORY, "no memory for an event '%s'", kind);
        return NULL;
    }
    e->seq = m->seq;
    e->recalled = m->time == 0;
    e->n = metaloop__events__pack(&alone, e->bytes);
    snprintf(e->kind, sizeof e->kind, "%s", kind);
    name_series(e, fields);
    return e;
}

struct stream_event *stream_pack(const struct stream_source *source, uint64_t seq, double time,
                                 const char *kind, const struct field *fields)
{
    ProtobufCMessage *m = message_new(&metaloop__event__descriptor);
    Metaloop__Event *e = (Metaloop__Event *)m;
    struct stream_event *packed = NULL;

    if (!m) {
        err(ERR_MEMORY, "no memory for an event '%s'", kind);
        return NULL;
    }
    e->version = STREAM_VERSION;
    e->run_id = text_copy(source->run_id);
    e->incarnation = source->incarnation;
    e->seq = seq;
    e->time = time;
    if (e->run_id && what_fill(e, kind, fields) >= 0)
        packed = event_of(e, kind, fields);
    protobuf_c_message_free_unpacked(m, NULL);
    return packed;
}
