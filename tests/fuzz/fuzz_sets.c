/* fuzz_sets.c - --set values, a line each, on a small configuration. */
#include "core/config/config.h"
#include "tests/fuzz/fuzz.h"

enum { TRIED = 8 };

static const char base[] = "data source { format = sinusoid }\n"
                           "data other { format = glyphs }\n"
                           "model { type = mlp }\n"
                           "model teacher { type = conv4 }\n"
                           "stage meta { method = maml data = source }\n";

static int lines_of(char *text, const char **lines)
{
    char *rest = text;
    int n = 0;

    while (rest && n < TRIED)
        lines[n++] = strsep(&rest, "\n");
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *text = text_of(bytes, n), *first, *second;
    const char *sets[TRIED];
    struct config c;
    int code = config_parse(&c, base, "base", sets, lines_of(text, sets), NULL);

    if (code < 0) {
        EXPECT_REFUSAL(code, ERR_CONFIG);
        EXPECT(strncmp(err_text(), "--set '", 7) == 0);
        free(text);
        return 0;
    }
    free(text);
    EXPECT((first = config_text(&c)));
    config_release(&c);
    EXPECT(config_parse(&c, first, "printed", NULL, 0, NULL) == 0);
    EXPECT((second = config_text(&c)));
    EXPECT(strcmp(first, second) == 0);
    config_release(&c);
    free(first);
    free(second);
    return 0;
}
