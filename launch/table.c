/* table.c - all verbs. */
#include <stddef.h>

#include "launch/verbs.h"

const struct verb *const verb_table[] = {
    &verb_train,  &verb_evaluate, &verb_check,    &verb_gradient, &verb_replay,
    &verb_bench,  &verb_predict,  &verb_inspect,  &verb_export,   &verb_pack,
    &verb_keygen, &verb_list,     &verb_simulate, NULL,
};
