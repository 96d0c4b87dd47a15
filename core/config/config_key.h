/* config_key.h - a row of the configuration table. Core's rows are in config_table.c; a method's
 * own stand in its file, and are parsed, checked, printed and documented like them. */
#ifndef CORE_CONFIG_CONFIG_KEY_H
#define CORE_CONFIG_CONFIG_KEY_H

#include <stdbool.h>
#include <stddef.h>

enum config_type {
    CONFIG_INT,    /* int64_t                                  */
    CONFIG_REAL,   /* double, finite                           */
    CONFIG_BOOL,   /* true | false                             */
    CONFIG_STRING, /* char *, owned                            */
    CONFIG_LIST,   /* struct strings                           */
    CONFIG_WHOLES, /* struct strings, each item a whole number */
};

struct config_key {
    const char *section, *name;
    enum config_type type;
    const char *preset;  /* the default as --set takes it; NULL: required                    */
    double min, max;     /* of the number; of the string's length; of each item of a list    */
    const char *choices; /* "a|b|c"; NULL: any                                               */
    size_t offset;       /* in the section's struct; a method's own: in the method's struct  */
    const char *doc;     /* with its unit                                                    */
    /* may change on --resume; otherwise another value makes it another run */
    bool may_change;
    const char *owner; /* filled in by the table: whose own it is; NULL: core's            */
};

enum { CONFIG_LENGTH = 4096 }; /* most bytes of any string */

/* What a method adds to section `stage`. A key that some methods take is refused in the stage of
 * another. */
struct config_method {
    const char *name; /* NULL: there is no such method */
    const char *const
        *takes; /* names of core's keys that it takes and some others do not; ended by NULL */
    const struct config_key *keys; /* its own, ended by {0}; NULL: none */
    size_t size;                   /* bytes of the struct that its own keys fill */
};

/* The i-th method, or one without a name. NULL for the function itself: no methods are known. */
typedef struct config_method config_methods(int i);

#endif
