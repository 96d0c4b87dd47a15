/* fuzz_stream.c - what the metrics stream reads and says: the first byte picks. 0, 1: the rest is a
 * file of keys. 2: the rest is text from wherever, which leaves as UTF-8 in an event that can be
 * unpacked. */
#include "core/base/err.h"
#include "proto/metaloop.pb-c.h"
#include "proto/stream/event.h"
#include "proto/stream/keys.h"
#include "tests/fuzz/fuzz.h"

static int count_key(void *context, const char *key)
{
    EXPECT(strlen(key) == KEY_TEXT - 1);
    ++*(int *)context;
    return 0;
}

static void try_keys(const char *word, const char *text)
{
    int n = 0, code = keys_parse(text, word, "keys", count_key, &n);

    if (code < 0)
        EXPECT_REFUSAL(code, ERR_CONFIG);
    EXPECT(n == 0 || strstr(text, word));
}

static void try_text(const char *text)
{
    static const struct stream_source source = {"run", 1};
    const struct field fields[] = {TEXT("text", text), {0}};
    struct stream_event *e = stream_pack(&source, 1, 1, "log", fields);
    Metaloop__Events *alone;
    const Metaloop__Event *m;

    EXPECT(e);
    alone = metaloop__events__unpack(NULL, e->n, e->bytes);
    EXPECT(alone && alone->n_events == 1);
    m = alone->events[0];
    EXPECT(m->what_case == METALOOP__EVENT__WHAT_LOG);
    EXPECT(strlen(m->log->text) == strlen(text));
    for (size_t i = 0; text[i]; i++)
        EXPECT(m->log->text[i] == text[i] || (m->log->text[i] == '?' && (text[i] & 0x80)));
    metaloop__events__free_unpacked(alone, NULL);
    free(e);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *text = n > 0 ? malloc(n) : NULL;

    if (!text)
        return 0;
    memcpy(text, bytes + 1, n - 1);
    text[n - 1] = '\0';
    if (bytes[0] % 3 == 2)
        try_text(text);
    else
        try_keys(bytes[0] % 3 ? "metaloop-public-key" : "metaloop-secret-key", text);
    free(text);
    return 0;
}
