/* config_internal.h - private to core/config*.c: the rows, and how a row reads and writes its
 * field. */
#ifndef CORE_CONFIG_CONFIG_INTERNAL_H
#define CORE_CONFIG_CONFIG_INTERNAL_H

#include <stdbool.h>
#include <stddef.h>

#include "core/base/config_key.h"
#include "core/config/config.h"

struct config_section {
    const char *name;
    int max;                       /* 0: once, without a title; else so many, with titles     */
    const char *untitled;          /* title of one written without; NULL: each must have one  */
    size_t offset, size, n_offset; /* in struct config: (first) instance, its size, the count */
    const char *doc;
};

enum { CONFIG_SECTIONS = 9, CONFIG_TITLE_MAX = 63 };

extern const struct config_section config_sections[]; /* CONFIG_SECTIONS, in printing order     */
extern const struct config_key config_keys[];         /* by section, in that order; ended by {0} */

/* Core's rows and those of every owner. An owner's have offsets in the block of bytes that a stage
 * holds for all of them. */
struct config_table {
    struct config_key *rows; /* owned; ended by {0} */
    int n;
    size_t own;            /* bytes of that block */
    config_owners *owners; /* borrowed; NULL: none */
};

/* ERR_MEMORY. */
int config_table_init(struct config_table *t, config_owners *owners);
void config_table_release(struct config_table *t);

/* Where the block of the owner begins that the stage chooses by that key; if there is none, its
 * end. */
size_t config_table_own(const struct config_table *t, const struct stage_config *s,
                        const char *kind);

/* True if the section takes the key: all but stages take every key of theirs, and so does a stage
 * whose method is not known. */
bool config_key_is_taken(const struct config_table *t, const struct config_key *k,
                         const void *base);

/* "is a key of method dan, not of 'maml'": ERR_CONFIG. */
int config_key_refuse(const struct config_table *t, const struct config_key *k,
                      const struct stage_config *s);

/* The owners that take a key which is not everybody's, as "dan, coral"; "": it is. */
void config_key_owners(const struct config_table *t, const struct config_key *k, char *text,
                       size_t n);

/* The key's field in a section's struct. */
void *config_key_field(const struct config_key *k, const void *base);

const struct config_section *config_section_find(const char *name); /* or NULL */
const struct config_key *config_key_find(const struct config_table *t, const char *section,
                                         const char *name); /* or NULL */

/* How many sections of that kind c has. */
int config_section_count(const struct config_section *s, const struct config *c);

/* The struct of the i-th of them. */
void *config_section_at(const struct config_section *s, const struct config *c, int i);

/* Fills every key of a zeroed section with its default. ERR_MEMORY. */
int config_section_init(const struct config_table *t, const struct config_section *s, void *base);

/* One more of a section with titles, filled with defaults. ERR_CONFIG: more than s->max;
 * ERR_MEMORY. */
int config_section_add(const struct config_section *s, struct config *c, const char *title);
void config_section_release(const struct config_table *t, const struct config_section *s,
                            void *base);

/* Puts a value into the key's field; a list takes items separated by commas. Errors say
 * "'way' is 5000, must be ..." without a place: ERR_CONFIG, ERR_MEMORY. */
int config_key_set(const struct config_key *k, void *base, const char *value);

/* The value as it would stand in a file. */
void config_key_print(const struct config_key *k, const void *base, FILE *out);

/* Whether its field is a list, which begins with a struct strings. */
static inline bool config_key_is_list(const struct config_key *k)
{
    return k->type >= CONFIG_LIST;
}

/* One more item of a list that has n. */
int config_key_check_item(const struct config_key *k, const char *item, int n);
int config_list_add(const struct config_key *k, void *field, const char *item); /* ERR_MEMORY */
void config_list_release(const struct config_key *k, void *field);

/* "unknown key 'inner_stepz' in section 'stage', did you mean 'inner_steps'?": ERR_CONFIG. */
int config_unknown_key(const struct config_table *t, const char *section, const char *name);
int config_unknown_section(const struct config_table *t, const char *name);

/* Prepares the text for libconfuse, whose lexer gets some things wrong. Copies text to plain (2
 * * strlen(text) + 1 bytes) with comments blanked and untitled sections given their titles, and
 * refuses bytes outside strings that the lexer would drop, ${...}, strings, comments and
 * sections that do not end, escapes it chokes on. */
enum { CONFIG_BRACES = 2 * (CONFIG_DATA_MAX + CONFIG_MODEL_MAX + CONFIG_STAGE_MAX) };
struct config_lines {
    int n_sections;              /* braces opened outside any other            */
    int sections[CONFIG_BRACES]; /* their lines; those beyond are not recorded */
    int last;                    /* line of the end                            */
};
/* Writes plain and lines. name: of the file, for messages. ERR_CONFIG. */
int config_scan(const char *text, const char *name, char *plain, struct config_lines *lines);

/* What holds between the keys of "metrics" (the only one): ERR_CONFIG. */
int config_metrics_check(const struct config *c, int i);

/* Where a section came from: its line, or the --set that last touched a key others depend on. */
enum { CONFIG_INSTANCES = CONFIG_DATA_MAX > CONFIG_STAGE_MAX ? CONFIG_DATA_MAX : CONFIG_STAGE_MAX };
struct config_origin {
    int line;        /* 0: not in the file */
    const char *set; /* borrowed */
};
struct config_origins {
    struct config_origin of[CONFIG_SECTIONS][CONFIG_INSTANCES];
    int last_line;
    /* Owned, (rows of the table): the --set that gives a stage its key, "" for its section;
     * NULL: it is not given. */
    const char **given[CONFIG_STAGE_MAX];
};

/* Notes that the --set, or "" for its section, gives a stage the key; of other sections nothing.
 * ERR_MEMORY. */
int config_origins_note(struct config_origins *o, const struct config *c,
                        const struct config_key *k, const void *base, const char *set);

/* Reads text into *c, which holds the defaults. Errors begin with "NAME:LINE: ". */
int config_syntax(struct config *c, const char *text, const char *name,
                  struct config_origins *origins);

#endif
