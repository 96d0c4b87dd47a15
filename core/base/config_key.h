/* config_key.h - a row of the configuration table. Core's rows are in core/config/config_table.c;
 * those of a method or a loss stand in its file, and are parsed, checked, printed and documented
 * like them. */
#ifndef CORE_BASE_CONFIG_KEY_H
#define CORE_BASE_CONFIG_KEY_H

#include <stdbool.h>
#include <stddef.h>

enum config_type {
    CONFIG_INT,    /* int64_t                                  */
    CONFIG_REAL,   /* double, finite                           */
    CONFIG_BOOL,   /* true | false                             */
    CONFIG_STRING, /* char *, owned                            */
    CONFIG_LIST,   /* struct strings                           */
    CONFIG_WHOLES, /* struct strings, each item a whole number */
    CONFIG_REALS,  /* struct reals                             */
};

enum { CONFIG_ITEMS_MAX = 4096 };

struct strings { /* a list value, of at most CONFIG_ITEMS_MAX */
    int n;
    char **items; /* owned */
};

struct reals { /* a list of numbers */
    struct strings text;
    double *v; /* owned, (text.n) */
};

struct config_key {
    const char *section, *name;
    enum config_type type;
    const char *preset;  /* the default as --set takes it; NULL: required                    */
    double min, max;     /* of the number; of the string's length; of each item of a list    */
    const char *choices; /* "a|b|c"; NULL: any                                               */
    size_t offset;       /* in the section's struct; an owner's: in the owner's struct        */
    const char *doc;     /* with its unit                                                    */
    /* may change on --resume; otherwise another value makes it another run */
    bool may_change;
    const char *owner; /* filled in by the table: whose own it is; NULL: core's            */
};

enum { CONFIG_LENGTH = 4096 }; /* most bytes of any string */

/* What section `stage` chooses by one of its keys, and what that adds to the section. A key that
 * some owners of a kind take is refused in a stage that has chosen another. */
struct config_owner {
    const char *chosen_by; /* the key that names it: "method", "loss" */
    const char *name;      /* NULL: there is no such owner; of each kind another */
    const char *const
        *takes; /* names of core's keys that it takes and some others do not; ended by NULL */
    const struct config_key *keys; /* its own, ended by {0}; NULL: none */
    size_t size;                   /* bytes of the struct that its own keys fill */
};

/* The i-th owner, or one without a name. NULL for the function itself: none are known. */
typedef struct config_owner config_owners(int i);

#endif
