/* fuzz_config.c - a configuration file; what parses prints, and the print parses to the same. */
#include "core/config/config.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *text = text_of(bytes, n), *first, *second;
    struct config c;
    int code = config_parse(&c, text, "fuzz.conf", NULL, 0, NULL);

    free(text);
    if (code < 0) {
        EXPECT_REFUSAL(code, ERR_CONFIG);
        EXPECT(strncmp(err_text(), "fuzz.conf:", 10) == 0);
        return 0;
    }
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
