/* utf8.h - reading UTF-8 text, one character at a time. */
#ifndef CORE_BASE_UTF8_H
#define CORE_BASE_UTF8_H

#include <stdint.h>

/* Reads the character that begins at s, in a text that ends with NUL. Returns its length in bytes,
 * 1 to 4, and its code point in *code; code may be NULL. Returns 0 if these bytes are no UTF-8: a
 * lone or missing continuation byte, an overlong form, a surrogate, or a code point beyond
 * U+10FFFF. Never reads beyond the NUL, which is itself a character of one byte. */
int utf8_read(const char *s, uint32_t *code);

#endif
