/* table.h - tables of plug-ins: arrays of pointers to const structs, ended by NULL. The first
 * member of each struct is `const char *name`, and names are unique in a table. */
#ifndef CORE_BASE_TABLE_H
#define CORE_BASE_TABLE_H

/* The entry of `table` with this name, as a pointer to its struct; NULL if there is none. */
const void *table_find(const void *table, const char *name);

/* What to say behind a name that is not in the table, as nearest_hint says it. hint: NEAREST_HINT
 * bytes, returned; empty if memory for the names runs out. */
const char *table_hint(const void *table, const char *name, char *hint);

#endif
