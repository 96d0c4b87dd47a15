/* verbs.h - what the program can do, a file each. */
#ifndef LAUNCH_VERBS_H
#define LAUNCH_VERBS_H

#include "launch/options.h"

extern const struct verb verb_train, verb_evaluate, verb_check, verb_gradient, verb_replay,
    verb_bench, verb_predict, verb_inspect, verb_pack, verb_keygen, verb_list, verb_simulate,
    verb_export;

extern const struct verb *const verb_table[]; /* ended by NULL */

extern const char version[]; /* "0.1.0-8f3c21a" */

#endif
