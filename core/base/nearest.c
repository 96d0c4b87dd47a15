/* nearest.c - the word that was meant. */
#include "core/base/nearest.h"

#include <stdio.h>
#include <string.h>

enum { NEAR_MAX = 63 }; /* bytes of a word that are compared */

static int min3(int a, int b, int c)
{
    int m = a < b ? a : b;
    return m < c ? m : c;
}

/* Damerau-Levenshtein: insert, delete, replace, swap two neighbours, at cost 1 each. */
static int word_distance(const char *a, const char *b)
{
    int rows[3][NEAR_MAX + 2], n = (int)strlen(b);
    int *before = rows[0], *last = rows[1], *row = rows[2];

    for (int j = 0; j <= n; j++)
        last[j] = before[j] = j;
    for (int i = 1; a[i - 1]; i++) {
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            row[j] = min3(row[j - 1] + 1, last[j] + 1, last[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = min3(row[j], row[j], before[j - 2] + 1);
        }
        int *spare = before;
        before = last, last = row, row = spare;
    }
    return last[n];
}

const char *nearest_word(const char *word, const char *const *words)
{
    int length = (int)strnlen(word, NEAR_MAX + 1), best = length / 3 > 2 ? length / 3 : 2;
    const char *nearest = NULL;

    if (length > NEAR_MAX)
        return NULL;
    if (best >= length) /* at this distance every letter may differ */
        best = length - 1;
    for (; *words; words++) {
        if (strlen(*words) > NEAR_MAX)
            continue;
        int d = word_distance(word, *words);
        if (d < best || (d == best && !nearest)) {
            best = d;
            nearest = *words;
        }
    }
    return nearest;
}

/* "; there is A, B, C" */
static void all_words(const char *const *words, char *hint)
{
    size_t used = 0;

    for (int i = 0; words[i] && used < NEAREST_HINT; i++)
        used += (size_t)snprintf(hint + used, NEAREST_HINT - used, "%s%s", i ? ", " : "; there is ",
                                 words[i]);
    if (used >= NEAREST_HINT)
        hint[0] = '\0';
}

const char *nearest_hint(const char *word, const char *const *words, char *hint)
{
    const char *near = nearest_word(word, words);

    hint[0] = '\0';
    if (near)
        snprintf(hint, NEAREST_HINT, ", did you mean '%s'?", near);
    else
        all_words(words, hint);
    return hint;
}
