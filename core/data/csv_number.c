/* csv_number.c - numbers and dates of a table. */
#include "core/data/csv_number.h"

#include <float.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LONGEST = 400 }; /* bytes of a number: the smallest double takes 330 without exponent */

static locale_t plain; /* NULL: none could be made; strtod then goes by the program's, which is C */

static void plain_make(void)
{
    plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
}

static double parse(const char *text, char **end)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, plain_make);
    return plain ? strtod_l(text, end, plain) : strtod(text, end);
}

static bool is_missing(const char *text)
{
    static const char *const words[] = {"", "na", "n/a", "nan", "null", "none"};

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strcasecmp(text, words[i]) == 0)
            return true;
    return false;
}

/* "1,5": digits with one comma among them. */
static bool has_comma(const char *text)
{
    const char *comma = strchr(text, ',');

    return comma && !text[strspn(text, "0123456789+-,.eE")] && comma > text && comma[1];
}

/* Ends a copy of text with a NUL; false: it is too long, or holds one. */
static bool copy(char *to, const char *text, size_t n)
{
    if (n >= LONGEST || memchr(text, '\0', n))
        return false;
    memcpy(to, text, n);
    to[n] = '\0';
    return true;
}

enum field_kind csv_number(const char *text, size_t n, double *x)
{
    char field[LONGEST], *end;

    if (!copy(field, text, n))
        return FIELD_OTHER;
    if (is_missing(field))
        return FIELD_MISSING;
    if (field[strspn(field, "0123456789+-.eE")])
        return has_comma(field) ? FIELD_COMMA : FIELD_OTHER;
    *x = parse(field, &end);
    if (end == field || *end)
        return FIELD_OTHER;
    return fabs(*x) <= (double)FLT_MAX ? FIELD_NUMBER : FIELD_LARGE;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar (Hinnant 2013). */
static double days(int year, int month, int day)
{
    int y = year - (month <= 2), era = y / 400, of_era = y - era * 400;
    int of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

    return era * 146097.0 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

/* n digits at text[at]; -1: there are none. */
static int digits(const char *text, int at, int n)
{
    int value = 0;

    for (int i = at; i < at + n; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = 10 * value + text[i] - '0';
    }
    return value;
}

/* The time of day behind a date, with its T or space. */
static bool clock_read(const char *text, double *seconds)
{
    int hour, minute, second = 0;
    double fraction = 0;
    char *end;

    if (strlen(text) < 6 || (*text != 'T' && *text != ' ') || text[3] != ':')
        return false;
    hour = digits(text, 1, 2), minute = digits(text, 4, 2);
    end = (char *)text + 6;
    if (*end == ':' && strlen(end) >= 3) {
        second = digits(end, 1, 2);
        end += 3;
    }
    if (*end == '.')
        fraction = parse(end, &end);
    end += *end == 'Z';
    *seconds = 3600.0 * hour + 60.0 * minute + second + fraction;
    return !*end && hour >= 0 && hour < 24 && minute >= 0 && minute < 60 && second >= 0 &&
           second <= 60;
}

enum field_kind csv_time(const char *text, size_t n, double *x)
{
    char field[LONGEST];
    double seconds = 0;
    int year, month, day;

    if (!copy(field, text, n))
        return FIELD_OTHER;
    if (n < 10 || field[4] != '-' || field[7] != '-')
        return csv_number(text, n, x);
    year = digits(field, 0, 4), month = digits(field, 5, 2), day = digits(field, 8, 2);
    if (year < 0 || month < 1 || month > 12 || day < 1 || day > 31)
        return FIELD_OTHER;
    if (n > 10 && !clock_read(field + 10, &seconds))
        return FIELD_OTHER;
    *x = 86400 * days(year, month, day) + seconds;
    return FIELD_DATE;
}
