/* csv_number.h - a field of a table as a number, or as a time. */
#ifndef CORE_DATA_CSV_NUMBER_H
#define CORE_DATA_CSV_NUMBER_H

#include <stddef.h>

enum field_kind {
    FIELD_NUMBER,
    FIELD_MISSING, /* empty, NA, N/A, NaN, null, None, in any case */
    FIELD_COMMA,   /* a decimal comma */
    FIELD_LARGE,   /* a number that no float holds */
    FIELD_DATE, /* YYYY-MM-DD, or with Thh:mm, Thh:mm:ss, Thh:mm:ss.fff, a space for the T, a Z */
    FIELD_OTHER,
};

/* Reads a whole field of n bytes, the same in any locale; *x is set for FIELD_NUMBER. */
enum field_kind csv_number(const char *text, size_t n, double *x);

/* FIELD_NUMBER; FIELD_DATE, as seconds since 1970-01-01T00:00; or what csv_number says. */
enum field_kind csv_time(const char *text, size_t n, double *x);

#endif
