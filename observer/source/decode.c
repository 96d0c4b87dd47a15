/* decode.c - decodes by protobuf-c's descriptors, so a new kind of event needs no code here. */
#include "observer/source/decode.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "core/base/err.h"
#include "proto/metaloop.pb-c.h"

struct taker {
    int (*take)(void *context, const struct event *e);
    void *context; /* borrowed */
    double time;
};

static const ProtobufCFieldDescriptor *what_of(const Metaloop__Event *e)
{
    return e->what_case
               ? protobuf_c_message_descriptor_get_field(e->base.descriptor, (unsigned)e->what_case)
               : NULL;
}

static Metaloop__Event *unpack(const void *bytes, size_t n)
{
    Metaloop__Event *e = metaloop__event__unpack(NULL, n, bytes);

    if (!e)
        err(ERR_DATA, "a message of %zu bytes that is not an event", n);
    else if (!what_of(e)) {
        err(ERR_DATA, "an event of a kind that this version does not know");
        metaloop__event__free_unpacked(e, NULL);
        return NULL;
    }
    return e;
}

/* A number in groups of seven bits, lowest first; returns its bytes, 0 if there is none. */
static size_t varint(const struct span *s, uint64_t *x)
{
    *x = 0;
    for (size_t i = 0; i < s->n && i < 10; i++) {
        *x |= (uint64_t)(s->bytes[i] & 0x7f) << (7 * i);
        if (!(s->bytes[i] & 0x80))
            return i + 1;
    }
    return 0;
}

static void skip(struct span *s, size_t n)
{
    s->bytes += n;
    s->n -= n;
}

int decode_next(struct span *rest, struct span *event)
{
    static const uint8_t events_tag = 1 << 3 | 2; /* field 1, of a length */
    uint64_t length;
    size_t n;

    if (rest->n == 0)
        return 0;
    if (*rest->bytes != events_tag)
        return err(ERR_DATA, "a frame that does not hold events");
    skip(rest, 1);
    n = varint(rest, &length);
    if (n == 0 || length > rest->n - n)
        return err(ERR_DATA, "a frame with a torn event");
    skip(rest, n);
    *event = (struct span){rest->bytes, (size_t)length};
    skip(rest, event->n);
    return 1;
}

int decode_header(const void *bytes, size_t n, struct event_header *h)
{
    Metaloop__Event *e = unpack(bytes, n);

    if (!e)
        return ERR_DATA;
    *h = (struct event_header){e->version, e->incarnation, e->seq, e->time, "", ""};
    text_clean(h->run_id, sizeof h->run_id, e->run_id);
    text_clean(h->kind, sizeof h->kind, what_of(e)->name);
    metaloop__event__free_unpacked(e, NULL);
    return 0;
}

/* Decodes a list of numbers; false: it is not one. */
static bool list_of(const ProtobufCFieldDescriptor *d, const ProtobufCMessage *m, struct field *f)
{
    const char *at = (const char *)m;

    *f = (struct field)NUMBERS(d->name, *(double *const *)(at + d->offset),
                               *(const size_t *)(at + d->quantifier_offset));
    return d->type == PROTOBUF_C_TYPE_DOUBLE;
}

/* Decodes a single value; false: it is not one. */
static bool field_of(const ProtobufCFieldDescriptor *d, const void *at, struct field *f)
{
    f->key = d->name;
    f->type = FIELD_INTEGER;
    switch (d->type) {
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        f->integer = *(const uint32_t *)at;
        return true;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_BOOL:
        f->integer = *(const int32_t *)at;
        return true;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
        f->integer = *(const int64_t *)at;
        return true;
    case PROTOBUF_C_TYPE_DOUBLE:
        f->type = FIELD_NUMBER;
        f->number = *(const double *)at;
        return true;
    case PROTOBUF_C_TYPE_STRING:
        f->type = FIELD_TEXT;
        f->text = *(char *const *)at;
        return f->text != NULL;
    default:
        return false;
    }
}

/* The messages of a list, or NULL: another field. */
static const ProtobufCMessage *const *messages_of(const ProtobufCFieldDescriptor *d,
                                                  const ProtobufCMessage *m, size_t *n)
{
    const char *at = (const char *)m;

    if (d->label != PROTOBUF_C_LABEL_REPEATED || d->type != PROTOBUF_C_TYPE_MESSAGE)
        return NULL;
    *n = *(const size_t *)(at + d->quantifier_offset);
    return *(const ProtobufCMessage *const *const *)(at + d->offset);
}

static bool is_of_metrics(const ProtobufCFieldDescriptor *d)
{
    return d->descriptor == &metaloop__event__metric__descriptor;
}

/* Metrics become values of the event itself, under their names. */
static int metrics_take(const ProtobufCMessage *m, struct event *e)
{
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *d = &m->descriptor->fields[i];
        size_t n = 0;
        const ProtobufCMessage *const *each = is_of_metrics(d) ? messages_of(d, m, &n) : NULL;

        for (size_t k = 0; each && k < n; k++) {
            const Metaloop__Event__Metric *one = (const Metaloop__Event__Metric *)each[k];

            if (!event_is_word(one->name) || event_find(e, one->name))
                return err(ERR_DATA, "a metric without a name of its own");
            TRY(event_add(e, (struct field)NUMBER(one->name, one->value)));
        }
    }
    return 0;
}

static int message_take(const ProtobufCMessage *m, const char *kind, int index,
                        const struct taker *to);

/* "Worker" -> "worker". */
static void kind_of(const ProtobufCMessageDescriptor *d, char *kind, size_t n)
{
    size_t i = 0;

    for (; d->short_name[i] && i < n - 1; i++)
        kind[i] = (char)tolower((unsigned char)d->short_name[i]);
    kind[i] = '\0';
}

static int parts_take(const ProtobufCMessage *m, const struct taker *to)
{
    char kind[16];

    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *d = &m->descriptor->fields[i];

        size_t n = 0;
        const ProtobufCMessage *const *parts = is_of_metrics(d) ? NULL : messages_of(d, m, &n);

        if (!parts)
            continue;
        kind_of(d->descriptor, kind, sizeof kind);
        for (size_t k = 0; k < n; k++)
            TRY(message_take(parts[k], kind, (int)k, to));
    }
    return 0;
}

static int message_take(const ProtobufCMessage *m, const char *kind, int index,
                        const struct taker *to)
{
    struct event e = {.kind = kind, .time = to->time};

    if (index >= 0)
        TRY(event_add(&e, (struct field)INTEGER("index", index)));
    for (unsigned i = 0; i < m->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *d = &m->descriptor->fields[i];
        struct field f = {0};
        bool list = d->label == PROTOBUF_C_LABEL_REPEATED;

        if (list ? list_of(d, m, &f) : field_of(d, (const char *)m + d->offset, &f))
            TRY(event_add(&e, f));
    }
    TRY(metrics_take(m, &e));
    TRY(to->take(to->context, &e));
    return parts_take(m, to);
}

int decode_event(const void *bytes, size_t n, int (*take)(void *context, const struct event *e),
                 void *context)
{
    Metaloop__Event *e = unpack(bytes, n);
    const ProtobufCFieldDescriptor *what = e ? what_of(e) : NULL;

    if (!e)
        return ERR_DATA;
    struct taker to = {take, context, e->time};
    int code = message_take(*(ProtobufCMessage *const *)((const char *)e + what->offset),
                            what->name, -1, &to);
    metaloop__event__free_unpacked(e, NULL);
    return code;
}
