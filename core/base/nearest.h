/* nearest.h - which of some words was meant by a wrong one. */
#ifndef CORE_BASE_NEAREST_H
#define CORE_BASE_NEAREST_H

/* The nearest of words, which NULL ends, by Damerau-Levenshtein distance; NULL if none is
 * near. */
const char *nearest_word(const char *word, const char *const *words);

enum { NEAREST_HINT = 320 };

/* What to say behind the name of a word that is none of words: ", did you mean 'NEAREST'?", or
 * if none is near "; there is A, B, C", or where those are too many nothing. Returns hint
 * (NEAREST_HINT bytes). */
const char *nearest_hint(const char *word, const char *const *words, char *hint);

#endif
