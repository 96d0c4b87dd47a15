/* fuzz_observe.c - what an observer is told, by a file (first byte 0: lines) or by a stream (else:
 * a frame of it). Whatever it is, what is seen of the run keeps its bounds, and its texts are
 * harmless. */
#include "observer/model/model.h"
#include "observer/source/decode.h"
#include "observer/source/line.h"
#include "observer/view/chart.h"
#include "tests/fuzz/fuzz.h"

static void expect_clean(const char *text)
{
    for (const unsigned char *s = (const unsigned char *)text; *s; s++)
        EXPECT(*s >= 0x20 && *s != 0x7f);
}

static void expect_series(const struct series *s)
{
    EXPECT(s->stage >= 0 && s->stage < STAGES_MAX && s->n >= 0 && s->n <= POINTS_MAX &&
           s->stride > 0);
    for (int i = 1; i < s->n; i++)
        EXPECT(s->points[i].round > s->points[i - 1].round &&
               s->points[i].serial > s->points[i - 1].serial);
    expect_clean(s->of);
    expect_clean(s->field);
}

static void expect_bounds(const struct run *r)
{
    int n;

    EXPECT(r->stage >= -1 && r->stage < r->n_stages && r->n_stages <= STAGES_MAX);
    EXPECT(r->n_series <= SERIES_MAX && r->n_workers <= WORKERS_MAX &&
           r->n_evaluations <= EVALUATIONS_MAX);
    for (int i = 0; i < r->n_series; i++)
        expect_series(r->series[i]);
    for (int i = 1; i < r->n_workers; i++)
        EXPECT(r->workers[i].rank > r->workers[i - 1].rank);
    for (uint64_t i = 0; i < r->n_notes && i < NOTES_MAX; i++)
        expect_clean(r->notes[i].text);
    for (int i = 0; i < r->n_stages; i++) {
        expect_clean(r->stages[i].name);
        free(charts_of(r, i, &n));
    }
    expect_clean(r->name);
    expect_clean(r->end);
}

static int take(void *context, const struct event *e)
{
    EXPECT(model_event(context, e) == 0);
    return 0;
}

static void try_lines(struct run *r, const char *text, size_t n)
{
    for (size_t at = 0, end; at < n; at = end + 1) {
        const char *stop = memchr(text + at, '\n', n - at);
        struct event e;
        json_t *holder = NULL;

        end = stop ? (size_t)(stop - text) : n;
        int code = line_read(text + at, end - at, &e, &holder);
        if (code < 0) {
            EXPECT_REFUSAL(code, ERR_DATA);
            continue;
        }
        take(r, &e);
        json_decref(holder);
    }
}

static void try_events(struct run *r, const uint8_t *bytes, size_t n)
{
    struct span rest = {bytes, n}, event;
    struct event_header h;
    int more;

    while ((more = decode_next(&rest, &event)) > 0) {
        EXPECT(event.bytes + event.n == rest.bytes && rest.bytes + rest.n == bytes + n);
        int known = decode_header(event.bytes, event.n, &h);
        int code = decode_event(event.bytes, event.n, take, r);
        EXPECT((known < 0) <= (code < 0) && (code == 0 || code == ERR_DATA));
    }
    EXPECT(more == 0 ? rest.n == 0 : more == ERR_DATA);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct run r;

    if (n < 1)
        return 0;
    EXPECT(model_init(&r, "fuzz") == 0);
    if (bytes[0] == 0)
        try_lines(&r, (const char *)bytes + 1, n - 1);
    else
        try_events(&r, bytes + 1, n - 1);
    expect_bounds(&r);
    model_restart(&r);
    model_release(&r);
    return 0;
}
