/* plural.h - "1 round", "2 rounds". */
#ifndef CORE_BASE_PLURAL_H
#define CORE_BASE_PLURAL_H

/* The ending of a noun that is counted: "round", "rounds". */
static inline const char *plural(double n)
{
    return n == 1 ? "" : "s";
}

/* Likewise: "pass", "passes". */
static inline const char *plural_es(double n)
{
    return n == 1 ? "" : "es";
}

#endif
