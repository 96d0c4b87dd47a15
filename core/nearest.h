/* nearest.h - which of some words was meant by a wrong one. */
#ifndef CORE_NEAREST_H
#define CORE_NEAREST_H

/* The nearest of words, which NULL ends, by Damerau-Levenshtein distance; NULL where none is near. */
const char *nearest_word(const char *word, const char *const *words);

#endif
