/* fuzz_options.c - a command line, its words divided by newlines, for every verb. */
#include "launch/verbs.h"
#include "tests/fuzz/fuzz.h"

enum { WORDS_MAX = 600 };

static void try_verb(const struct verb *v, int n, char **argv)
{
    struct options o;
    int code;

    argv[1] = (char *)v->name;
    code = options_read(&o, v, n, argv);
    if (code < 0)
        EXPECT_REFUSAL(code, ERR_USAGE);
    else if (code == 0)
        EXPECT(o.n_places >= v->min_places && o.n_places <= v->max_places);
    else
        EXPECT(code == 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static FILE *out;
    char *text = text_of(bytes, n), *rest = n > 0 ? text : NULL;
    char *argv[WORDS_MAX + 1] = {"metaloop"};
    int n_words = 2;

    if (!out)
        EXPECT((out = freopen("/dev/null", "w", stdout))); /* --help prints */
    while (rest && n_words < WORDS_MAX)
        argv[n_words++] = strsep(&rest, "\n");
    for (const struct verb *const *v = verb_table; *v; v++)
        try_verb(*v, n_words, argv);
    free(text);
    return 0;
}
