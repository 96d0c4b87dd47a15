/* nearest.h - the word that a misspelt one probably means. */
#ifndef CORE_BASE_NEAREST_H
#define CORE_BASE_NEAREST_H

/* The nearest of words (ended by NULL) by Damerau-Levenshtein distance; NULL if none is near. */
const char *nearest_word(const char *word, const char *const *words);

enum { NEAREST_HINT = 320 };

/* A hint for a word that is not in words: ", did you mean 'NEAREST'?"; if none is near, "; there
 * is A, B, C"; if those are too many, "". Returns hint (NEAREST_HINT bytes). */
const char *nearest_hint(const char *word, const char *const *words, char *hint);

#endif
