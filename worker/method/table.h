/* table.h - every method there is. */
#ifndef WORKER_METHOD_TABLE_H
#define WORKER_METHOD_TABLE_H

#include "worker/contract/method.h"

extern const struct method_ops *const method_table[]; /* ended by NULL */

/* The method of that name, or NULL. */
const struct method_ops *method_find(const char *name);

/* Its traits, or NULL: a method_traits_find. */
const struct method_traits *method_traits_of(const char *name);

/* Names and keys of what a stage chooses: the i-th of all methods, then all losses; all zero after
 * the last: a config_owners. */
struct config_owner stage_owner(int i);

#endif
